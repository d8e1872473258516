import { isDeepStrictEqual } from 'node:util';
import { z } from 'zod';
import { type AskedFlag, askedFlags } from '../../../controller/kubernetes/desired/asked-options.ts';
import type { Differences } from '../../../controller/kubernetes/desired/controllers.ts';
import { sourceVolume } from '../../../controller/kubernetes/desired/pod-template.ts';
import type { MoEModel } from '../../../controller/kubernetes/resources/moe-model.ts';
import { type ControllerConfig, controllerSchema } from '../../config/controller-config.ts';
import { ConfigError } from '../../config/load-config.ts';
import { type OptionSpec, optionsOf } from '../../config/option.ts';
import type { AskedConfig } from './asked-config.ts';

/** Changed while controllers run, as everything that operators ask of the planner. */
const changedLive = 'expertReplicas';

/** How a model differs from what the controllers run with. `problems` says why they would not serve with another configuration. */
export function differencesFrom(
  { config, load, model: started }: AskedConfig,
  problems: (config: ControllerConfig) => readonly string[],
): (model: MoEModel) => Differences {
  const options = optionsOf(controllerSchema).filter(({ key }) => key !== changedLive);
  return (model) => {
    const next = loaded(load, model);
    if ('refused' in next) return { refused: next.refused, overruled: [], pending: [] };
    const asked = new Map(askedFlags(model).map((flag) => [flag.name, flag]));
    const refused = next.config.model === config.model ? problems(next.config) : [];
    return {
      refused,
      overruled: [
        ...options.flatMap((option) => overruled(option, asked.get(option.name), next.config)),
        ...(started === null ? [] : otherVolume(started, model)),
      ],
      pending: options.flatMap((option) => pending(option, asked.get(option.name), next.config, config)),
    };
  };
}

function loaded(load: AskedConfig['load'], model: MoEModel) {
  try {
    return { config: load(model) };
  } catch (error) {
    if (error instanceof ConfigError) return { refused: error.problems };
    throw error;
  }
}

/** Options may be given to controllers alone, on purpose; what the model has a field for may not. */
function overruled(option: OptionSpec, asked: AskedFlag | undefined, next: ControllerConfig): readonly string[] {
  if (asked === undefined || asked.path.startsWith('spec.options.')) return [];
  const parsed = z.safeParse(controllerSchema.shape[option.key as keyof ControllerConfig], asked.value);
  const value = valueOf(next, option);
  if (isDeepStrictEqual(parsed.data, value)) return [];
  return [`${asked.path}: ${asked.value}, flags of the controllers say ${JSON.stringify(value)}`];
}

function pending(
  option: OptionSpec,
  asked: AskedFlag | undefined,
  next: ControllerConfig,
  running: ControllerConfig,
): readonly string[] {
  const [wanted, has] = [valueOf(next, option), valueOf(running, option)];
  if (isDeepStrictEqual(wanted, has)) return [];
  const path = asked?.path ?? `--${option.name}`;
  return [`${path}: ${asked?.value ?? 'not given'}, the controllers run with ${has === null ? 'none' : shown(has)}`];
}

function valueOf(config: ControllerConfig, { key }: OptionSpec): unknown {
  return config[key as keyof ControllerConfig];
}

/** As a flag has it. */
function shown(value: unknown): string {
  return typeof value === 'string' ? value : JSON.stringify(value);
}

/** Pods of controllers mount what the chart says; their Deployment is not the operator's. */
function otherVolume(started: MoEModel, model: MoEModel): readonly string[] {
  const [has, wanted] = [sourceVolume(started), sourceVolume(model)];
  if (isDeepStrictEqual(has, wanted)) return [];
  return [`spec.source: ${JSON.stringify(wanted)}, pods of the controllers have ${JSON.stringify(has)}`];
}
