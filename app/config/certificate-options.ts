/** Options of what Conclave keeps in Kubernetes: Secrets with certificates, keys and passwords. */
import { z } from 'zod';
import { option } from './option.ts';
import { choice, duration, integer, list, text } from './values.ts';

/** Which certificates there are, and how long they last. */
export const certificates = {
  authority: option(objectName('a Secret').nullable().default(null), {
    group: 'Certificates',
    description:
      'Secret of the authority that signs the certificates; the leading controller replaces them before they end.',
    placeholder: 'SECRET',
    fallback: 'none: certificates come from elsewhere',
  }),
  certificate: option(namedLists('SECRET=NAME,NAME').nullable().default(null), {
    group: 'Certificates',
    description:
      'Secret with a certificate (tls.crt, tls.key, ca.crt), and the DNS names and addresses in it; give the flag again for another.',
    placeholder: 'SECRET=NAMES',
    fallback: 'none',
    repeatable: true,
  }),
  certificateDays: option(integer(1, 36_500).default(90), {
    group: 'Certificates',
    description: 'Days that a certificate lasts; it is replaced after two thirds of them.',
    placeholder: 'N',
  }),
  authorityDays: option(integer(1, 36_500).default(3_650), {
    group: 'Certificates',
    description: 'Days that the authority lasts; it is replaced after two thirds of them, old and new side by side.',
    placeholder: 'N',
  }),
  authorityOverlap: option(duration().default(600_000), {
    group: 'Certificates',
    description:
      'Time in which every process has surely taken changed files: a new authority signs once all have trusted it for so long.',
    placeholder: 'TIME',
    fallback: '10m',
  }),
};

/** The configuration of `conclave kubernetes prepare`. */
export const prepareSchema = z.strictObject({
  namespace: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'Namespace of the Secrets.',
    placeholder: 'NAME',
    fallback: "the pod's own",
  }),
  instance: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'Installation that the Secrets belong to: their label app.kubernetes.io/instance.',
    placeholder: 'NAME',
    fallback: 'none',
  }),
  keys: option(list().nullable().default(null), {
    group: 'Keys',
    description:
      'Secret with a random key in "keys", as --api-key-file and --admin-key-file read it; several, by commas.',
    placeholder: 'SECRET',
    fallback: 'none',
    repeatable: true,
  }),
  credentials: option(namedLists('SECRET=USER').nullable().default(null), {
    group: 'Keys',
    description: 'Secret with "user" and a random "password", for NATS; give the flag again for another.',
    placeholder: 'SECRET=USER',
    fallback: 'none',
    repeatable: true,
  }),
  ...certificates,
  output: option(choice('text', 'json').default('text'), {
    group: 'Reporting',
    description: 'Form of the report: text or json.',
    placeholder: 'FORM',
  }),
});

/** Name of an object of Kubernetes. */
function objectName(what: string): z.ZodType<string> {
  return text().refine((value) => isObjectName(value), {
    error: ({ input }) =>
      `expected the name of ${what}: lower-case letters, digits, "-" and ".", got ${JSON.stringify(input)}`,
  });
}

/** Lists by the names of Secrets: each text is NAME=VALUE,VALUE. Several stand in one text with spaces between. */
function namedLists(form: string): z.ZodType<ReadonlyMap<string, readonly string[]>> {
  return z.unknown().transform((raw, context) => {
    const texts = [raw].flat().flatMap((one) => (typeof one === 'string' ? one.trim().split(/\s+/) : [null]));
    const read = texts.map((one) => {
      const [, name = '', values = ''] = /^([^=]+)=(.+)$/.exec(one ?? '') ?? [];
      const parts = values.split(',');
      return isObjectName(name) && parts.every((part) => part !== '') ? ([name, parts] as const) : null;
    });
    const wrong = read.indexOf(null);
    if (wrong < 0) return new Map(read.filter((one) => one !== null));
    context.addIssue({ code: 'custom', message: `expected ${form}, got ${JSON.stringify(texts[wrong])}` });
    return z.NEVER;
  });
}

function isObjectName(text: string): boolean {
  return text.length <= 253 && /^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/.test(text);
}
