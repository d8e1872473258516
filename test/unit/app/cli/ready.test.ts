import { describe, expect, it } from 'vitest';
import { readyText } from '../../../../app/cli/ready.ts';
import type { Embedded } from '../../../../app/compose/single-process.ts';

const embedded: Embedded = {
  httpUrl: 'http://127.0.0.1:8000',
  grpcAddress: '127.0.0.1:8001',
  model: {
    name: 'clerk',
    demo: true,
    parameters: 5_100_000,
    activeParameters: 967_000,
    weights: 'bf16',
    weightBytes: 10 * 2 ** 20,
    threads: 2,
    isa: 'avx2',
    device: 'cpu',
    gpu: null,
    maxModelLen: 512,
    cacheBytes: 48 * 2 ** 20,
    cacheTokens: 32_768,
  },
  fault: new Promise(() => {}),
  stop: () => Promise.resolve(),
};

const plain = { authority: '127.0.0.1', curl: '', operate: '' };

/** The words of the command that is shown to be tried, as a shell would split them. */
function command(text: string): readonly string[] {
  const lines = /^ {2}(curl [^]*?)\n {2}#/m.exec(text)?.[1] ?? '';
  return [...lines.replaceAll('\\\n', ' ').matchAll(/'([^']*)'|(\S+)/g)].map(
    ([, quoted, plain]) => quoted ?? plain ?? '',
  );
}

describe('what serve shows when it is ready', () => {
  it('holds a command to try, with what it should answer', () => {
    const text = readyText(embedded, '1.0.0', false, plain);
    const [curl, url, , , , body] = command(text);
    expect([curl, url]).toEqual(['curl', 'http://127.0.0.1:8000/v1/chat/completions']);
    expect(JSON.parse(body ?? '')).toMatchObject({ model: 'clerk', temperature: 0 });
    expect(text).toContain('974 + 662 = 1636');
    expect(text).not.toContain('Authorization');
  });

  it('says where the key goes when one is needed, but not the key', () => {
    expect(command(readyText(embedded, '1.0.0', true, plain))).toContain('Authorization: Bearer KEY');
  });
});
