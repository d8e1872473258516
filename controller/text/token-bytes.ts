import { type TokenTable, tokenBytes } from './token-table.ts';

/** The bytes of all tokens, as an engine takes them. */
export interface TokenBytes {
  /** Of all tokens, one after the other. */
  readonly bytes: Uint8Array;
  /** First byte of each token, [tokens + 1]. */
  readonly offsets: Int32Array;
  /** 1 for tokens that are no text, [tokens]. */
  readonly special: Uint8Array;
}

/** `size`: tokens of the model, which may be more or fewer than the tokenizer has. Throws where tokens are not put together as bytes. */
export function allTokenBytes(table: TokenTable, size: number): TokenBytes {
  if (table.separator !== '')
    throw new Error('tokenizer.json: decoder: tokens that are put together without one are not bytes');
  const parts: Uint8Array[] = [];
  const offsets = new Int32Array(size + 1);
  const special = new Uint8Array(size);
  for (let id = 0; id < size; id++) {
    const entry = id < table.size ? table.entry(id) : null;
    const bytes = entry === null ? new Uint8Array(0) : tokenBytes(entry);
    parts.push(bytes);
    offsets[id + 1] = offsets[id]! + bytes.length;
    special[id] = entry?.special === true ? 1 : 0;
  }
  return { bytes: Buffer.concat(parts), offsets, special };
}
