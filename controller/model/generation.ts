/** generation_config.json: which tokens begin and end a sequence. */
import { z } from 'zod';
import { quote } from './config/problems.ts';

const tokenId = z.int().min(0).max(0x7fffffff);

const schema = z.looseObject({
  bos_token_id: tokenId.nullish(),
  eos_token_id: z.union([tokenId, z.array(tokenId)]).nullish(),
});

/** Null: generation_config.json does not say. */
export interface Generation {
  readonly bosTokenId: number | null;
  readonly eosTokenIds: readonly number[] | null;
}

/** Reads a parsed generation_config.json; reports what is wrong and returns what is right. */
export function readGeneration(file: Readonly<Record<string, unknown>>, report: (problem: string) => void): Generation {
  const parsed = schema.safeParse(file);
  if (!parsed.success) {
    for (const { path, message } of parsed.error.issues) {
      report(`${path.join('.')} is ${quote(file[String(path[0])])}: ${message}`);
    }
    return { bosTokenId: null, eosTokenIds: null };
  }
  const { bos_token_id, eos_token_id } = parsed.data;
  return { bosTokenId: bos_token_id ?? null, eosTokenIds: eos_token_id == null ? null : [eos_token_id].flat() };
}
