/**
 * Sampling parameters that a checkpoint recommends in generation_config.json; requests override them one by one.
 */
import { eachSamplingParameter, engineValue, type SamplingValues } from '../../proto/sampling-parameters.ts';
import type { JsonObject } from '../model/checkpoint/checkpoint-files.ts';

/** Values that make no sense are refused, naming the file and key. */
export function readSamplingDefaults(generationConfig: JsonObject): SamplingValues {
  return eachSamplingParameter((parameter) => {
    const { name, neutral, clients, engine, integer, recommended } = parameter;
    const value = recommended ? (generationConfig[name] ?? neutral) : neutral;
    const { min, max } = { min: clients.min, max: Math.min(clients.max, engine.max) };
    if (typeof value !== 'number' || !(value >= min && value <= max)) {
      throw new Error(`generation_config.json: ${name}: ${JSON.stringify(value)} is not between ${min} and ${max}`);
    }
    return engineValue(parameter, integer ? Math.floor(value) : value);
  });
}
