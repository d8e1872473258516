/** Figures for people. */

/** Three digits, or the whole part where it has more. */
export function amount(value: number): string {
  return value === 0 ? '0' : value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2);
}

export function milliseconds(ms: number): string {
  return ms < 1_000 ? `${amount(ms)} ms` : `${amount(ms / 1_000)} s`;
}

export function bytes(count: number): string {
  const units = ['B', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB'];
  const power = count < 1 ? 0 : Math.min(Math.floor(Math.log2(count) / 10), units.length - 1);
  return `${amount(count / 2 ** (10 * power))} ${units[power]}`;
}

export function percent(share: number): string {
  return `${Math.round(100 * share)} %`;
}

/** How long ago, in two units at most: "45 s", "12 min", "3 h 12 min", "2 d 4 h". */
export function age(ms: number): string {
  const seconds = Math.max(0, Math.floor(ms / 1_000));
  const [minutes, hours, days] = [Math.floor(seconds / 60), Math.floor(seconds / 3_600), Math.floor(seconds / 86_400)];
  if (minutes === 0) return `${seconds} s`;
  if (hours === 0) return `${minutes} min`;
  if (days === 0) return minutes % 60 === 0 ? `${hours} h` : `${hours} h ${minutes % 60} min`;
  return hours % 24 === 0 ? `${days} d` : `${days} d ${hours % 24} h`;
}
