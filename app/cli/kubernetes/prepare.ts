import type { Command } from 'commander';
import type { z } from 'zod';
import {
  credentialsSecret,
  generateSecret,
  keysSecret,
} from '../../../controller/kubernetes/certificates/generated-secrets.ts';
import { certificateOptions } from '../../compose/kubernetes/certificates.ts';
import { prepareSchema } from '../../config/certificate-options.ts';
import { ConfigError } from '../../config/load-config.ts';
import { json, operate, write } from '../operate/operate-command.ts';

type PrepareConfig = Readonly<z.output<typeof prepareSchema>>;

/** What was done to a Secret. */
interface Done {
  readonly secret: string;
  readonly done: string;
}

const notes = `
Example:
  conclave kubernetes prepare --namespace default --instance conclave --authority conclave-ca \\
    --certificate conclave-worker-tls='*.conclave-expert.default.svc,localhost' --keys conclave-api-keys \\
    --credentials conclave-nats-auth=conclave`;

/** `conclave kubernetes prepare`: the Secrets that everything else needs to start. */
export function prepareCommand(): Command {
  return operate(
    'prepare',
    'Makes the Secrets of an installation where they are missing: authority, certificates, keys, NATS users. What is there stays.',
    prepareSchema,
    prepare,
  ).addHelpText('after', notes);
}

async function prepare(config: PrepareConfig): Promise<void> {
  const { authority, certificate, instance } = config;
  if ((authority === null) !== (certificate === null)) {
    throw new ConfigError(['--authority and --certificate belong together: expected both or neither']);
  }
  const { connectSecrets, ownNamespace } = await import('../../compose/kubernetes/connect.ts');
  const { keepCertificates } = await import('../../../controller/kubernetes/certificates/keep-certificates.ts');
  const namespace = config.namespace ?? ownNamespace();
  const store = connectSecrets(namespace);
  const labels = {
    'app.kubernetes.io/name': 'conclave',
    'app.kubernetes.io/managed-by': 'conclave',
    ...(instance !== null && { 'app.kubernetes.io/instance': instance }),
  };
  const secrets: Done[] = [];
  for (const wanted of wantedSecrets(config)) {
    const change = await generateSecret(wanted, { store, labels });
    secrets.push({ secret: wanted.name, done: change ?? 'is there' });
  }
  const certificates = certificateOptions(config, store, labels);
  const changes = certificates === null ? [] : await keepCertificates(certificates);
  secrets.push(...changes.map(({ secret, message }) => ({ secret, done: message })));
  const lines = secrets.map(({ secret, done }) => `${namespace}/${secret}: ${done}\n`);
  write(config.output === 'json' ? json({ namespace, secrets }) : lines.join(''));
}

function wantedSecrets({ keys, credentials }: PrepareConfig) {
  const users = [...(credentials ?? [])].map(([name, [user = '']]) => credentialsSecret(name, user));
  return [...(keys ?? []).map(keysSecret), ...users];
}
