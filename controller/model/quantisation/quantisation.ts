/** Which format a checkpoint's matrices are stored in. */
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { isObject } from '../config/json.ts';
import { quote } from '../config/problems.ts';
import { awq } from './awq.ts';
import { compressedTensors } from './compressed-tensors.ts';
import { fp8 } from './fp8.ts';
import { gptq } from './gptq.ts';
import type { Method, Report } from './method.ts';
import { modelopt } from './modelopt.ts';
import { mxfp4 } from './mxfp4.ts';

/** Every method that can be read. */
const methods: readonly Method[] = [fp8, compressedTensors, gptq, awq, mxfp4, modelopt];

type Json = Readonly<Record<string, unknown>>;

/**
 * The format that config.json's quantization_config describes, or hf_quant_config.json; null where matrices are stored as they
 * are. Reports what is unknown, and returns null then too.
 */
export function readQuantisation(config: Json, optimizer: Json | null, report: Report): StoredFormat | null {
  const given = quantisationOf(config) ?? ofOptimizer(optimizer);
  if (given === null) return null;
  if (!isObject(given)) {
    report(`quantization_config is ${quote(given)}; expected an object`);
    return null;
  }
  const { quant_method: name } = given;
  const method = methods.find((known) => known.name === name);
  if (method !== undefined) return method.read(given, report);
  const supported = methods.map((known) => known.name).join(', ');
  report(`quantization_config.quant_method is ${quote(name ?? null)}; supported: ${supported}`);
  return null;
}

/** Composite models have it beside their parts or in the text's. */
function quantisationOf(config: Json): unknown {
  const text = isObject(config['text_config']) ? config['text_config'] : {};
  const keys = ['quantization_config', 'compression_config'] as const;
  return [config, text].flatMap((part) => keys.map((key) => part[key])).find((value) => value != null) ?? null;
}

/** hf_quant_config.json, which Model Optimizer writes beside a configuration that says nothing. */
function ofOptimizer(optimizer: Json | null): unknown {
  const given = optimizer?.['quantization'];
  return isObject(given) ? { quant_method: 'modelopt', ...given } : null;
}
