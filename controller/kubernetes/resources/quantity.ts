/** Factors of Kubernetes' suffixes; "m" is a thousandth. */
const suffixes: Readonly<Record<string, number>> = {
  n: 1e-9,
  u: 1e-6,
  m: 1e-3,
  '': 1,
  k: 1e3,
  M: 1e6,
  G: 1e9,
  T: 1e12,
  P: 1e15,
  E: 1e18,
  Ki: 2 ** 10,
  Mi: 2 ** 20,
  Gi: 2 ** 30,
  Ti: 2 ** 40,
  Pi: 2 ** 50,
  Ei: 2 ** 60,
};

/** The value of a Kubernetes quantity such as "1.5Gi", "500m" or 2e9; null for what is none. */
export function quantity(value: string | number): number | null {
  const match = /^\+?(\d+\.?\d*|\.\d+)(?:([numkMGTPE]|[KMGTPE]i)|[eE]([+-]?\d+))?$/.exec(String(value).trim());
  const factor = suffixes[match?.[2] ?? ''];
  return match === null || factor === undefined ? null : Number(match[1]) * factor * 10 ** Number(match[3] ?? 0);
}
