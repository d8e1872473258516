/** generation_config.json: which tokens end a sequence, and how the model's authors want it sampled. */
import { z } from 'zod';
import { quote } from './problems.ts';

const tokenId = z.int().min(0).max(0x7fffffff);

const schema = z.looseObject({
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
  temperature: z.number().min(0).nullish(),
  top_k: z.int().min(0).nullish(),
  top_p: z.number().gt(0).max(1).nullish(),
  min_p: z.number().min(0).max(1).nullish(),
  repetition_penalty: z.number().positive().nullish(),
});

/** Sampling parameters that the checkpoint recommends; those it does not name are absent. */
export interface SamplingDefaults {
  readonly temperature?: number;
  readonly topK?: number;
  readonly topP?: number;
  readonly minP?: number;
  readonly repetitionPenalty?: number;
}

export interface Generation {
  /** Null: generation_config.json does not say. */
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[] | null;
  readonly sampling: SamplingDefaults;
}

/** Reads a parsed generation_config.json; reports what is wrong and returns what is right. */
export function readGeneration(file: Readonly<Record<string, unknown>>, report: (problem: string) => void): Generation {
  const parsed = schema.safeParse(file);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      report(`${path.join('.')} is ${quote(file[String(path[0])])}: ${message}`);
    }
    return { bosTokenId: null, eosTokenIds: null, sampling: {} };
  }
  const { bos_token_id, eos_token_id, temperature, top_k, top_p, min_p, repetition_penalty } = parsed.data;
  return {
    bosTokenId: bos_token_id ?? null,
    eosTokenIds: eos_token_id == null ? null : [eos_token_id].flat(),
    sampling: {
      ...(temperature != null && { temperature }),
      ...(top_k != null && { topK: top_k }),
      ...(top_p != null && { topP: top_p }),
      ...(min_p != null && { minP: min_p }),
      ...(repetition_penalty != null && { repetitionPenalty: repetition_penalty }),
    },
  };
}
