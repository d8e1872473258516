import { z } from 'zod';
import type { StoredFormat } from '../checkpoint/stored-format.ts';
import { quote } from '../config/problems.ts';
import { packedFp4, packedInts, scaled, type WeightScheme } from './compressed-schemes.ts';
import { defineMethod, noStacks } from './method.ts';

const size = z.int().min(1);

const weights = z.object({
  num_bits: z.union([z.literal(4), z.literal(8)]),
  type: z.enum(['int', 'float']),
  strategy: z.enum(['tensor', 'channel', 'group', 'block', 'tensor_group']).nullish(),
  group_size: z.union([z.literal(-1), size]).nullish(),
  block_structure: z.tuple([size, size]).nullish(),
  symmetric: z.boolean().nullish(),
});

const formats = [
  'pack-quantized',
  'int-quantized',
  'float-quantized',
  'naive-quantized',
  'nvfp4-pack-quantized',
  'mxfp4-pack-quantized',
] as const;

const format = z.enum(formats);

/** The formats of the library compressed-tensors; which modules have one is said by patterns. */
export const compressedTensors = defineMethod(
  'compressed-tensors',
  z.object({
    format: z.enum([...formats, 'mixed-precision']),
    quantization_status: z.enum(['compressed', 'frozen']).nullish(),
    config_groups: z.record(
      z.string(),
      z.object({ targets: z.array(z.string()), weights: weights.nullable(), format: format.nullish() }),
    ),
    sparsity_config: z
      .object({ format: z.enum(['dense']).optional() })
      .nullish()
      .or(z.strictObject({})),
    transform_config: z.strictObject({}).nullish(),
  }),
  (config, report): StoredFormat | null => {
    const groups: Group[] = [];
    for (const [name, group] of Object.entries(config.config_groups)) {
      const own = group.format ?? config.format;
      if (group.weights === null) continue;
      if (own !== 'mixed-precision') groups.push({ targets: group.targets, scheme: { ...group.weights, format: own } });
      else
        report(`quantization_config.config_groups.${name}.format is null; supported: ${formats.map(quote).join(', ')}`);
    }
    return {
      ...noStacks,
      matrix: (tensors, module, rows, cols) => {
        const isPacked = tensors.shapeOf(`${module}.weight_packed`) !== null;
        if (!isPacked && tensors.shapeOf(`${module}.weight_scale`) === null) return null;
        const scheme = schemeOf(groups, module);
        if (scheme === null) {
          tensors.report(
            `${quote(module)} is quantised, but no target of quantization_config.config_groups matches it`,
          );
          return null;
        }
        for (const unused of ['input_scale', 'input_global_scale', 'input_zero_point'])
          tensors.skip(`${module}.${unused}`);
        if (!isPacked) return scaled(tensors, module, rows, cols, scheme);
        return scheme.type === 'int'
          ? packedInts(tensors, module, rows, cols, scheme)
          : packedFp4(tensors, module, rows, cols, scheme);
      },
    };
  },
);

interface Group {
  readonly targets: readonly string[];
  readonly scheme: WeightScheme;
}

/** Of the group whose targets name the module, by a pattern or in full, or else name its class. */
function schemeOf(groups: readonly Group[], module: string): WeightScheme | null {
  const named = groups.find(({ targets }) => targets.some((target) => matches(target, module)));
  return (named ?? groups.find(({ targets }) => targets.includes('Linear')))?.scheme ?? null;
}

function matches(target: string, module: string): boolean {
  if (!target.startsWith('re:')) return target === module;
  try {
    return new RegExp(`^(?:${target.slice(3)})`, 'u').test(module);
  } catch {
    return false;
  }
}
