import { expect, it } from 'vitest';
import { createLog, textLine } from '../../../../app/command/log.ts';

const time = '2026-01-02T03:04:05.678Z';

it.each([
  [{ level: 30, time, msg: 'ready' }, '03:04:05.678 ready\n'],
  [{ level: 40, time, msg: 'slow', ms: 12, route: '/v1' }, '03:04:05.678 warning: slow ms=12 route=/v1\n'],
  [
    { level: 50, time, msg: 'failed', err: { message: 'no', stack: 'Error: no\n    at x' } },
    '03:04:05.678 error: failed\nError: no\n    at x\n',
  ],
  [
    { level: 40, time, msg: 'NATS', n: 2, err: { message: 'refused', code: 'UNAVAILABLE' } },
    '03:04:05.678 warning: NATS n=2: refused\n',
  ],
])('writes %j for people', (entry, expected) => expect(textLine(JSON.stringify(entry))).toBe(expected));

it('writes a stack only for an error that nobody foresaw', () => {
  const lines: string[] = [];
  const stream = { isTTY: true, write: (line: string) => lines.push(line) } as unknown as NodeJS.WriteStream;
  const log = createLog({ level: 'info', format: 'auto' }, stream);
  log.warn({ err: Object.assign(new Error('no answer'), { code: 'UNAVAILABLE' }) }, 'NATS');
  log.error({ err: new TypeError('x is not a function') }, 'a bug');
  log.error({ err: Object.assign(new TypeError('not a string'), { code: 'ERR_INVALID_ARG_TYPE' }) }, 'another');
  expect(lines.map((line) => /\n\s+at /.test(line))).toEqual([false, true, true]);
  expect(lines[0]).toMatch(/warning: NATS: no answer\n$/);
});
