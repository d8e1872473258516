/** Bytes for people: "1.5 GiB". A shortfall is negative. */
export function formatBytes(bytes: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const most = Math.abs(bytes);
  const power = most < 1 ? 0 : Math.min(Math.floor(Math.log2(most) / 10), units.length - 1);
  return `${significant(bytes / 2 ** (10 * power))} ${units[power]}`;
}

/** A count for people: "5.1 M". */
export function formatCount(count: number): string {
  const units = ['', ' K', ' M', ' B', ' T'];
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log10(count) / 3), units.length - 1);
  return `${significant(count / 1000 ** power)}${units[power]}`;
}

/** A length of time for people: "850 ms", "12 s", "3 min 05 s". */
export function formatDuration(ms: number): string {
  if (ms < 1_000) return `${Math.round(ms)} ms`;
  const seconds = Math.round(ms / 1_000);
  if (seconds < 60) return `${ms < 9_950 ? (ms / 1_000).toFixed(1) : seconds} s`;
  return `${Math.floor(seconds / 60)} min ${String(seconds % 60).padStart(2, '0')} s`;
}

/** Three digits at most, unless the whole part has more. */
function significant(value: number): string {
  const most = Math.abs(value);
  const digits = most >= 100 ? 0 : most >= 10 ? 1 : 2;
  return String(Number(value.toFixed(digits)));
}
