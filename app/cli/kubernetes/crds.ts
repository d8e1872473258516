import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { Command } from 'commander';
import { parse } from 'yaml';
import { packageRoot } from '../../../proto/package-root.ts';
import { crdsSchema } from '../../config/kubernetes-objects.ts';
import { json, operate, write } from '../operate/operate-command.ts';

/** Where the chart has the definitions; "helm install" makes them, and nothing of Helm's brings them up to date. */
const FOLDER = join(packageRoot, 'charts/conclave/crds');
const PATH = '/apis/apiextensions.k8s.io/v1/customresourcedefinitions';

/** `conclave kubernetes crds`. */
export function crdsCommand(): Command {
  const description =
    'Brings the definitions of MoEModel and ExpertPool up to date with this version. Needs rights to patch them.';
  return operate('crds', description, crdsSchema, async ({ output }) => {
    const { connectKubernetes } = await import('../../compose/kubernetes/connect.ts');
    const api = connectKubernetes('default');
    const names: string[] = [];
    try {
      for (const file of readdirSync(FOLDER).sort()) {
        const definition = parse(readFileSync(join(FOLDER, file), 'utf8')) as { readonly metadata: { name: string } };
        const { name } = definition.metadata;
        await api.applyCluster(`${PATH}/${name}`, definition);
        names.push(name);
      }
    } finally {
      api.close();
    }
    write(output === 'json' ? json({ definitions: names }) : `${names.join(' and ')} are up to date\n`);
  });
}
