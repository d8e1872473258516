/** Three digits, or the whole part where it has more. */
export function amount(value: number): string {
  return value === 0 ? '0' : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

/** A time for people: "4.12 ms", "1.25 s". */
export function milliseconds(ms: number): string {
  return ms < 1_000 ? `${amount(ms)} ms` : `${amount(ms / 1_000)} s`;
}
