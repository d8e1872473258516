import { join } from 'node:path';
import { expect, it } from 'vitest';
import { readTextFiles } from '../../../../controller/model/checkpoint/checkpoint-files.ts';
import { SequenceText } from '../../../../controller/text/sequence-text.ts';
import { compileStops } from '../../../../controller/text/stop-texts.ts';
import { createTokenizer } from '../../../../controller/text/tokenizer.ts';
import { packageRoot } from '../../../../proto/messages.ts';

const tokenizer = createTokenizer(await readTextFiles(join(packageRoot, 'models', 'clerk')));

/** What a sequence of one-byte tokens says up to its end. */
function read(text: string, minTokens: number): { readonly text: string; readonly stop: unknown } {
  const sequence = new SequenceText(0, {
    table: tokenizer.table,
    prompt: [],
    skipSpecialTokens: true,
    shownTokens: new Set(),
    stop: compileStops(['b']),
    minTokens,
    includeStop: false,
    stopTokenIds: new Set(),
    stopTokenTexts: new Map(),
    eosTokenIds: new Set(),
    textOffsets: false,
  });
  let said = '';
  for (const id of tokenizer.encode(text, false)) {
    const piece = sequence.accept({
      ...{ index: 0, tokenIds: [id], logprobs: [], promptLogprobs: [], cachedTokens: 0, queueMs: 0 },
      finishReason: 'FINISH_REASON_UNSPECIFIED',
    });
    said += piece?.text ?? '';
    if (piece?.finish) return { text: said, stop: piece.finish.stop };
  }
  return { text: said, stop: null };
}

it.each([
  ['a-b-c', 0, { text: 'a-', stop: 'b' }],
  ['a-b-c', 2, { text: 'a-', stop: 'b' }],
  ['a-b-c', 3, { text: 'a-b-c', stop: null }],
  ['a-b-cb', 3, { text: 'a-b-c', stop: 'b' }],
])('of %s, with %d tokens at least, comes %j: stop texts count behind those tokens', (text, minTokens, expected) => {
  expect(read(text, minTokens)).toEqual(expected);
});
