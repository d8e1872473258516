/** Minimal standard generator (Lehmer), in (0, 1). */
export function generator(start: number): () => number {
  let state = start;
  return () => {
    state = (state * 48_271) % 2_147_483_647;
    return state / 2_147_483_647;
  };
}

/** Loads around 1 with a log-normal spread of `sigma`: measured loads of mixture-of-experts layers look like that. */
export function logNormal(experts: number, sigma: number, random: () => number): number[] {
  const normal = () => Math.sqrt(-2 * Math.log(random())) * Math.cos(2 * Math.PI * random());
  return Array.from({ length: experts }, () => Math.exp(sigma * normal()));
}

/** Loads by rank, 1 / rank ^ exponent, in random order. */
export function zipf(experts: number, exponent: number, random: () => number): number[] {
  return Array.from({ length: experts }, (_, rank) => ({ load: (rank + 1) ** -exponent, order: random() }))
    .sort((a, b) => a.order - b.order)
    .map(({ load }) => load);
}
