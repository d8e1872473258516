/** SentencePiece's BPE as tokenizer.json states it: scores become the order of merges. */

/** A mark for spaces. */
const mark = '▁';

export function sentencePieceParts(spaceFirst: boolean): Record<string, unknown> {
  const prepend = { type: 'Prepend', prepend: mark };
  const replace = { type: 'Replace', pattern: { String: ' ' }, content: mark };
  const strip = { type: 'Strip', content: ' ', start: 1, stop: 0 };
  return {
    normalizer: { type: 'Sequence', normalizers: spaceFirst ? [prepend, replace] : [replace] },
    pre_tokenizer: null,
    decoder: {
      type: 'Sequence',
      decoders: [
        { type: 'Replace', pattern: { String: mark }, content: ' ' },
        { type: 'ByteFallback' },
        { type: 'Fuse' },
        ...(spaceFirst ? [strip] : []),
      ],
    },
  };
}

/** Every way to make a piece of two others, those of higher scores first. */
export function mergesByScore(tokens: readonly string[], scores: readonly number[]): readonly string[][] {
  const ids = new Map(tokens.map((token, id): readonly [string, number] => [token, id]));
  const merges: { readonly pair: string[]; readonly score: number; readonly order: readonly [number, number] }[] = [];
  for (const [id, token] of tokens.entries()) {
    const characters = Array.from(token);
    for (let cut = 1; cut < characters.length; cut++) {
      const pair = [characters.slice(0, cut).join(''), characters.slice(cut).join('')] as const;
      const [left, right] = [ids.get(pair[0]), ids.get(pair[1])];
      if (left === undefined || right === undefined) continue;
      merges.push({ pair: [...pair], score: scores[id] ?? 0, order: [left, right] });
    }
  }
  merges.sort((a, b) => b.score - a.score || a.order[0] - b.order[0] || a.order[1] - b.order[1]);
  return merges.map(({ pair }) => pair);
}
