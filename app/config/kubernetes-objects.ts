/** Options of the commands that an installation on Kubernetes runs for its objects. */
import { z } from 'zod';
import { option } from './option.ts';
import { choice, duration, text } from './values.ts';

const output = {
  output: option(choice('text', 'json').default('text'), {
    group: 'Reporting',
    description: 'Form of the answer: text or json.',
    placeholder: 'FORM',
  }),
};

/** `conclave kubernetes crds`. */
export const crdsSchema = z.strictObject({ ...output });

/** `conclave kubernetes release`. */
export const releaseSchema = z.strictObject({
  kubernetesModel: option(text(), {
    group: 'Kubernetes',
    description: 'The MoEModel to delete, with its ExpertPools.',
    placeholder: 'NAME',
    fallback: 'must be given',
  }),
  namespace: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'Its namespace.',
    placeholder: 'NAME',
    fallback: "the pod's own",
  }),
  helmRelease: option(text().nullable().default(null), {
    group: 'Kubernetes',
    description: 'Do nothing unless it is of this release, as Helm says in its annotations.',
    placeholder: 'NAME',
    fallback: 'whoever made it',
  }),
  timeout: option(duration().default(60_000), {
    group: 'Kubernetes',
    description: 'How long the controllers may take to let pools go, before that is done for them.',
    placeholder: 'TIME',
    fallback: '60s',
  }),
  ...output,
});
