import { pino } from 'pino';
import { expect, it } from 'vitest';
import { coldLoadLog, stepFailureLog } from '../../../worker/wiring/failure-log.ts';

function rig() {
  const lines: { readonly level: number; readonly msg: string; readonly repeated?: number }[] = [];
  const log = pino({ base: null }, { write: (line) => lines.push(JSON.parse(line)) });
  let time = 0;
  return { lines, log, now: () => time, pass: (ms: number) => (time += ms) };
}

it('writes steps that are computed again once per cause, and each one that fails a request', () => {
  const { lines, log, now, pass } = rig();
  const write = stepFailureLog(log, now);
  const lost = (): Error => Object.assign(new Error(`away for ${now()} ms`), { code: 'CACHE_LOST' });
  for (let step = 0; step < 100; step++, pass(100)) write(lost(), ['a', 'b'], []);
  write(lost(), ['a'], ['b']);
  write(lost(), [], ['a']);
  expect(lines.map(({ level, msg }) => [level, msg])).toEqual([
    [40, 'a step failed; its sequences are computed again'],
    [50, 'a step failed, and requests with it'],
    [50, 'a step failed, and requests with it'],
  ]);
});

it('writes once that a stage loads experts itself, whatever their number', () => {
  const { lines, log, now, pass } = rig();
  const write = coldLoadLog({ log, requestIds: () => ['r'], now });
  for (let layer = 0; layer < 61; layer++) write(layer, [1, 2, 3]);
  pass(60_000);
  write(0, [4]);
  expect(lines).toMatchObject([{ requestIds: ['r'] }, { repeated: 60 }]);
});
