/** What controllers start with: their own sources, and their MoEModel for what none of those says. */
import { setTimeout as sleep } from 'node:timers/promises';
import type { Logger } from 'pino';
import { type KubeApi, KubeError } from '../../../controller/kubernetes/api/kube-api.ts';
import { askedFlags } from '../../../controller/kubernetes/desired/asked-options.ts';
import { type MoEModel, moeModelSchema } from '../../../controller/kubernetes/resources/moe-model.ts';
import type { ControllerConfig } from '../../config/controller-config.ts';
import type { AskedOption } from '../../config/load-config.ts';
import { connectKubernetes, ownNamespace } from './connect.ts';

export interface AskedConfig {
  /** As it was read, before a model's name became a folder. */
  readonly config: ControllerConfig;
  /** What another start would have with a model. Throws a ConfigError. */
  readonly load: (model: MoEModel) => ControllerConfig;
  /** The model as it was at the start; null: there was none. */
  readonly model: MoEModel | null;
}

const RETRY_MS = 1_000;
/** No rights, or no such kind: another try would be answered the same. */
const final: ReadonlySet<number> = new Set([403, 404]);

/** Waits for the API server. Throws a ConfigError that names what is wrong with the model. */
export async function askedConfig(
  given: ControllerConfig,
  load: (asked: readonly AskedOption[]) => ControllerConfig,
  log: Logger,
): Promise<AskedConfig> {
  const api = connectKubernetes(given.kubernetesNamespace ?? ownNamespace());
  try {
    const model = await readModel(api, given.kubernetesModel ?? given.cluster, log);
    const loadWith = (asking: MoEModel) => load(askedOptions(asking));
    return { model, load: loadWith, config: model === null ? given : loadWith(model) };
  } finally {
    api.close();
  }
}

function askedOptions(model: MoEModel): readonly AskedOption[] {
  return askedFlags(model).map(({ name, value, path }) => {
    return { name, value, place: `MoEModel ${model.metadata.name}, ${path}` };
  });
}

/** Null: there is none, or this version cannot read it. */
async function readModel(api: KubeApi, name: string, log: Logger): Promise<MoEModel | null> {
  for (let attempt = 0; ; attempt++) {
    try {
      const { items } = await api.list('moemodels');
      const found = items.find(({ metadata }) => metadata.name === name);
      if (found === undefined) return null;
      const parsed = moeModelSchema.safeParse(found);
      if (parsed.success) return parsed.data;
      log.error({ err: parsed.error }, `MoEModel ${name} is not as this version reads it, and is left alone`);
      return null;
    } catch (error) {
      if (error instanceof KubeError && final.has(error.status)) {
        log.warn({ err: error }, `MoEModel ${name} cannot be read, and has no part in the configuration`);
        return null;
      }
      if (attempt === 0) log.warn({ err: error }, `waiting for the API server, which has MoEModel ${name}`);
      await sleep(RETRY_MS);
    }
  }
}
