/**
 * What each token id stands for, compiled from the `decoder` of a tokenizer.json. A token is either bytes that join with
 * its neighbours' bytes into UTF-8 (byte-level vocabularies, byte fallback), or whole text that stands alone.
 * `clean_up_tokenization_spaces` is not applied: it would change text that has already been streamed.
 */
import { isObject } from '../model/config/json.ts';

export interface TokenEntry {
  /** What the token decodes to on its own; null when its bytes are not whole UTF-8 characters. */
  readonly text: string | null;
  /** Bytes that join with those of neighbouring tokens; null for text that stands alone. */
  readonly bytes: Uint8Array | null;
  /** Left out of text by `skip_special_tokens`. */
  readonly special: boolean;
}

/** Characters that are taken off the start of a text. */
export interface LeadingStrip {
  readonly character: string;
  readonly count: number;
  /** Whether only the first token may lose characters, or the text whatever its tokens. */
  readonly firstTokenOnly: boolean;
}

export interface TokenTable {
  /** Ids are below this. */
  readonly size: number;
  readonly leadingStrip: LeadingStrip | null;
  /** Put between tokens; empty for all vocabularies that have a decoder. */
  readonly separator: string;
  entry(id: number): TokenEntry;
}

export interface TokenTableSource {
  /** `decoder` of tokenizer.json. */
  readonly decoder: unknown;
  /** Token of each id, in the vocabulary's own spelling; holes are allowed. */
  readonly vocabulary: readonly (string | undefined)[];
  /** Ids of tokens that are spelled as they are. */
  readonly addedIds: ReadonlySet<number>;
  readonly specialIds: ReadonlySet<number>;
}

const none: TokenEntry = { text: '', bytes: null, special: false };
const strictUtf8 = new TextDecoder('utf-8', { fatal: true, ignoreBOM: true });
const utf8 = new TextEncoder();

export function compileTokenTable(source: TokenTableSource): TokenTable {
  const decoding = compileDecoder(source.decoder);
  const entries: (TokenEntry | undefined)[] = [];
  const make = (id: number): TokenEntry => {
    const token = source.vocabulary[id];
    if (token === undefined) return none;
    const special = source.specialIds.has(id);
    if (source.addedIds.has(id)) return { text: token, bytes: null, special };
    const bytes = decoding.bytesOf(token);
    return bytes === null
      ? { text: decoding.textOf(token), bytes: null, special }
      : { text: wholeText(bytes), bytes, special };
  };
  return {
    size: source.vocabulary.length,
    leadingStrip: decoding.leadingStrip,
    separator: decoding.separator,
    entry: (id) => (entries[id] ??= make(id)),
  };
}

/** Bytes of a token as it is in a text. */
export function tokenBytes(entry: TokenEntry): Uint8Array {
  return entry.bytes ?? utf8.encode(entry.text ?? '');
}

function wholeText(bytes: Uint8Array): string | null {
  try {
    return strictUtf8.decode(bytes);
  } catch {
    return null;
  }
}

interface Decoding {
  bytesOf(token: string): Uint8Array | null;
  textOf(token: string): string;
  readonly leadingStrip: LeadingStrip | null;
  readonly separator: string;
}

interface DecoderSpec {
  readonly type?: unknown;
  readonly decoders?: unknown;
  readonly content?: unknown;
  readonly pattern?: unknown;
  readonly start?: unknown;
  readonly stop?: unknown;
  readonly replacement?: unknown;
  readonly prepend_scheme?: unknown;
}

function compileDecoder(decoder: unknown): Decoding {
  if (decoder === null || decoder === undefined) {
    return { bytesOf: () => null, textOf: (token) => token, leadingStrip: null, separator: ' ' };
  }
  const steps = flatten(decoder);
  const rewrites: ((token: string) => string)[] = [];
  let byteLevel = false;
  let byteFallback = false;
  let fused = false;
  let leadingStrip: LeadingStrip | null = null;
  for (const step of steps) {
    const refuse = (why: string) => new Error(`tokenizer.json: decoder ${String(step.type)} ${why}`);
    const afterBytes = byteLevel || fused;
    switch (step.type) {
      case 'ByteLevel':
        if (afterBytes || byteFallback) throw refuse('is supported as the first decoder only');
        byteLevel = true;
        break;
      case 'ByteFallback':
        if (afterBytes) throw refuse('is not supported after ByteLevel or Fuse');
        byteFallback = true;
        break;
      case 'Replace': {
        if (afterBytes) throw refuse('is not supported after ByteLevel or Fuse');
        const literal = isObject(step.pattern) ? step.pattern['String'] : undefined;
        if (typeof literal !== 'string') throw refuse('is supported with pattern.String only');
        rewrites.push((token) => token.replaceAll(literal, () => String(step.content)));
        break;
      }
      case 'Metaspace': {
        if (afterBytes) throw refuse('is not supported after ByteLevel or Fuse');
        const replacement = typeof step.replacement === 'string' ? step.replacement : '▁';
        rewrites.push((token) => token.replaceAll(replacement, ' '));
        if (step.prepend_scheme !== 'never') leadingStrip = { character: ' ', count: 1, firstTokenOnly: true };
        break;
      }
      case 'Fuse':
        fused = true;
        break;
      case 'Strip':
        if (!fused) throw refuse('is supported after Fuse only');
        if (Number(step.stop ?? 0) !== 0) throw refuse(`with stop ${String(step.stop)} is not supported`);
        leadingStrip = { character: String(step.content), count: Number(step.start ?? 0), firstTokenOnly: false };
        break;
      default:
        throw refuse('is not supported');
    }
  }
  return {
    bytesOf: byteLevel ? byteLevelBytes : (token) => (byteFallback ? fallbackByte(token) : null),
    textOf: (token) => rewrites.reduce((text, rewrite) => rewrite(text), token),
    leadingStrip,
    separator: '',
  };
}

function flatten(decoder: DecoderSpec): readonly DecoderSpec[] {
  if (decoder.type !== 'Sequence') return [decoder];
  return (decoder.decoders as readonly DecoderSpec[]).flatMap(flatten);
}

function fallbackByte(token: string): Uint8Array | null {
  const hex = /^<0x([0-9A-Fa-f]{2})>$/.exec(token)?.[1];
  return hex === undefined ? null : Uint8Array.of(Number.parseInt(hex, 16));
}

/** A token of a byte-level vocabulary; one that is not spelled in its alphabet stands for its own UTF-8. */
function byteLevelBytes(token: string): Uint8Array {
  const bytes = new Uint8Array(token.length);
  for (let i = 0; i < token.length; i++) {
    const byte = byteOfCharacter.get(token.charCodeAt(i));
    if (byte === undefined) return utf8.encode(token);
    bytes[i] = byte;
  }
  return bytes;
}

/**
 * The alphabet of byte-level vocabularies: printable bytes stand for themselves, the others, in order, for the characters
 * from U+0100 on.
 */
const byteOfCharacter: ReadonlyMap<number, number> = (() => {
  const map = new Map<number, number>();
  let next = 0x100;
  for (let byte = 0; byte < 0x100; byte++) {
    const printable = (byte >= 0x21 && byte <= 0x7e) || (byte >= 0xa1 && byte <= 0xac) || byte >= 0xae;
    map.set(printable ? byte : next++, byte);
  }
  return map;
})();
