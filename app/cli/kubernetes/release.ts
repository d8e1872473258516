import type { Command } from 'commander';
import type { KubeApi, RawObject } from '../../../controller/kubernetes/api/kube-api.ts';
import { releaseSchema } from '../../config/kubernetes-objects.ts';
import { json, operate, write } from '../operate/operate-command.ts';

const POLL_MS = 500;

/** `conclave kubernetes release`. */
export function releaseCommand(): Command {
  const description =
    'Deletes a MoEModel and its ExpertPools, and waits until they are gone: before controllers are uninstalled that would let them go.';
  return operate('release', description, releaseSchema, async (config) => {
    const { connectKubernetes, ownNamespace } = await import('../../compose/kubernetes/connect.ts');
    const api = connectKubernetes(config.namespace ?? ownNamespace());
    const { kubernetesModel: model, helmRelease, timeout, output } = config;
    try {
      if (helmRelease !== null && !(await isOfRelease(api, model, helmRelease))) {
        const text = `MoEModel ${model} stays: Helm has not installed it with release ${helmRelease}\n`;
        write(output === 'json' ? json({ model: null, pools: [] }) : text);
        return;
      }
      const pools = await release(api, model, timeout);
      write(
        output === 'json' ? json({ model, pools }) : `MoEModel ${model} and ${pools.length} ExpertPools are gone\n`,
      );
    } finally {
      api.close();
    }
  });
}

/** True of one that is gone already: what is left of it goes too. */
async function isOfRelease(api: KubeApi, model: string, release: string): Promise<boolean> {
  const { items } = await api.list('moemodels');
  const found = items.find(({ metadata }) => metadata.name === model);
  return found === undefined || found.metadata.annotations?.['meta.helm.sh/release-name'] === release;
}

/** Without their model pools are not drained. Those that nobody lets go in time are let go here. */
async function release(api: KubeApi, model: string, timeoutMs: number): Promise<readonly string[]> {
  const pools = async (): Promise<readonly RawObject[]> => {
    const { items } = await api.list('expertpools');
    return items.filter(({ spec }) => (spec as { readonly model?: string } | undefined)?.model === model);
  };
  const found = await pools();
  await api.release('moemodels', model);
  for (const { metadata } of found) await api.release('expertpools', metadata.name);
  const started = performance.now();
  for (let left = await pools(); left.length > 0; left = await pools()) {
    if (performance.now() - started > timeoutMs) for (const pool of left) await api.dropFinalizer('expertpools', pool);
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
  return found.map(({ metadata }) => metadata.name);
}
