import { z } from 'zod';

/** A schema that reads a value as a flag, a variable or YAML gives it: text, or typed already. Null from `read`: not valid. */
function reader<T>(expected: string, read: (raw: unknown) => T | null): z.ZodType<T> {
  return z.unknown().transform((raw, context): T => {
    const value = read(raw);
    if (value !== null) return value;
    const got = raw === undefined ? 'nothing' : JSON.stringify(raw);
    context.addIssue({ code: 'custom', message: `expected ${expected}, got ${got}` });
    return z.NEVER;
  });
}

/** A whole number from `min` to `max`. */
export function integer(min: number, max: number = Number.MAX_SAFE_INTEGER): z.ZodType<number> {
  return reader(`a whole number from ${min} to ${max}`, (raw) => {
    const value = typeof raw === 'string' && /^-?\d+$/.test(raw.trim()) ? Number(raw) : raw;
    return typeof value === 'number' && Number.isSafeInteger(value) && value >= min && value <= max ? value : null;
  });
}

/** A number from `min` to `max`, such as 0.125. */
export function fraction(min: number, max: number): z.ZodType<number> {
  return reader(`a number from ${min} to ${max}`, (raw) => {
    const value = typeof raw === 'string' && /^\d+(\.\d+)?$/.test(raw.trim()) ? Number(raw) : raw;
    return typeof value === 'number' && value >= min && value <= max ? value : null;
  });
}

/** A whole number of 64 bits, signed or not; those below 0 in two's complement. */
export function integer64(): z.ZodType<bigint> {
  const [min, max] = [-(2n ** 63n), 2n ** 64n - 1n];
  return reader(`a whole number from ${min} to ${max}`, (raw) => {
    const text = String(raw).trim();
    const value = /^-?\d{1,20}$/.test(text) ? BigInt(text) : null;
    return value !== null && value >= min && value <= max ? BigInt.asUintN(64, value) : null;
  });
}

/** Text that is not empty. */
export function text(): z.ZodType<string> {
  return reader('text', (raw) => {
    const value = typeof raw === 'number' ? String(raw) : raw;
    return typeof value === 'string' && value.trim() !== '' ? value : null;
  });
}

/** Text as it is: a number in YAML would lose its zeros. */
export function password(): z.ZodType<string> {
  return reader('text, in YAML with quotes', (raw) => (typeof raw === 'string' && raw !== '' ? raw : null));
}

/** A key that "Authorization: Bearer KEY" can carry. */
export function key(): z.ZodType<string> {
  return reader(aKey, (raw) => {
    const value = typeof raw === 'string' ? raw.trim() : '';
    return /^[^\s\p{Cc}]+$/u.test(value) ? value : null;
  });
}

const aKey = 'a key without spaces, in YAML with quotes';

/** One or several keys, each of them whole: a key may hold commas. */
export function keys(): z.ZodType<readonly string[]> {
  return reader(aKey, (raw) => {
    const parsed = (Array.isArray(raw) ? raw : [raw]).map((part: unknown) => key().safeParse(part).data);
    const valid = parsed.every((part) => part !== undefined);
    return valid && parsed.length > 0 ? Object.freeze(parsed) : null;
  });
}

/** One of some words. */
export function choice<const T extends string>(...words: readonly T[]): z.ZodType<T> {
  return reader(`one of ${words.join(', ')}`, (raw) => words.find((word) => word === raw) ?? null);
}

/** What computes; cuda-emulated, which tests use, is not mentioned. */
export function device(): z.ZodType<string> {
  return reader('auto, cpu, cuda or cuda:N', (raw) =>
    typeof raw === 'string' && /^(auto|cpu|(cuda|cuda-emulated)(:\d{1,3})?)$/.test(raw) ? raw : null,
  );
}

/** A switch. */
export function toggle(): z.ZodType<boolean> {
  const words: Readonly<Record<string, boolean>> = { true: true, false: false, '1': true, '0': false };
  return reader('true or false', (raw) => (typeof raw === 'boolean' ? raw : (words[String(raw)] ?? null)));
}

/** One or several texts; text is split at commas. */
export function list(): z.ZodType<readonly string[]> {
  return reader('one or more texts', (raw) => {
    const parts = (Array.isArray(raw) ? raw : [raw]).flatMap((part: unknown) =>
      typeof part === 'string' ? part.split(',').map((piece) => piece.trim()) : [part],
    );
    const valid = parts.every((part): part is string => typeof part === 'string' && part !== '');
    return valid && parts.length > 0 ? Object.freeze(parts) : null;
  });
}

/** What a worker may hold, in a fixed order. */
export function roles(): z.ZodType<readonly ('stage' | 'expert')[]> {
  const known = ['stage', 'expert'] as const;
  return reader('stage, expert or both, separated by a comma', (raw) => {
    const parts = (Array.isArray(raw) ? raw : String(raw).split(',')).map((part: unknown) => String(part).trim());
    const chosen = known.filter((role) => parts.includes(role));
    return chosen.length === new Set(parts).size && chosen.length > 0 ? Object.freeze(chosen) : null;
  });
}

const sizeUnits: Readonly<Record<string, number>> = {
  '': 1,
  b: 1,
  k: 2 ** 10,
  m: 2 ** 20,
  g: 2 ** 30,
  t: 2 ** 40,
  kib: 2 ** 10,
  mib: 2 ** 20,
  gib: 2 ** 30,
  tib: 2 ** 40,
  kb: 1e3,
  mb: 1e6,
  gb: 1e9,
  tb: 1e12,
};

/** An amount of memory, in bytes. */
export function size(): z.ZodType<number> {
  return reader('an amount of memory such as 512MiB, 4GiB or 4G', (raw) => {
    if (typeof raw === 'number') return Number.isSafeInteger(raw) && raw > 0 ? raw : null;
    const match = typeof raw === 'string' ? /^(\d+(?:\.\d+)?)\s*([a-z]*)$/i.exec(raw.trim()) : null;
    const unit = sizeUnits[match?.[2]?.toLowerCase() ?? ''];
    if (match === null || unit === undefined) return null;
    const bytes = Math.floor(Number(match[1]) * unit);
    return Number.isSafeInteger(bytes) && bytes > 0 ? bytes : null;
  });
}

const durationUnits: Readonly<Record<string, number>> = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000 };
/** Longest delay that a timer takes, in ms. */
const longestDelay = 2 ** 31 - 1;

/** A length of time, in milliseconds and at least `min` of them. A bare number counts seconds. */
export function duration(min = 0): z.ZodType<number> {
  const least = min === 0 ? '' : `, of at least ${min} ms`;
  return reader(`a length of time such as 500ms, 30s or 5m${least}`, (raw) => {
    const match = /^(\d+(?:\.\d+)?)\s*(ms|s|m|h|)$/.exec(String(raw).trim());
    const unit = durationUnits[match?.[2] || 's'];
    if (match === null || unit === undefined) return null;
    const ms = Math.round(Number(match[1]) * unit);
    return ms >= min && ms <= longestDelay ? ms : null;
  });
}

/** Host and port of a server, such as "10.0.0.1:8001" or "[::1]:8001". */
export function address(): z.ZodType<string> {
  return reader('HOST:PORT, such as 10.0.0.1:8001 or [::1]:8001', (raw) => {
    const match = typeof raw === 'string' ? /^(\[[\da-f:.]+\]|[\w.-]+):(\d+)$/i.exec(raw) : null;
    const port = Number(match?.[2]);
    return match !== null && port >= 1 && port <= 65_535 ? String(raw) : null;
  });
}
