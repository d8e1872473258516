import { expect, it } from 'vitest';
import { textLine } from '../../../../controller/cli/log.ts';

const time = '2026-01-02T03:04:05.678Z';

it.each([
  [{ level: 30, time, msg: 'ready' }, '03:04:05.678 ready\n'],
  [{ level: 40, time, msg: 'slow', ms: 12, route: '/v1' }, '03:04:05.678 warning: slow ms=12 route=/v1\n'],
  [
    { level: 50, time, msg: 'failed', err: { message: 'no', stack: 'Error: no\n    at x' } },
    '03:04:05.678 error: failed\nError: no\n    at x\n',
  ],
])('writes %j for people', (entry, expected) => expect(textLine(JSON.stringify(entry))).toBe(expected));
