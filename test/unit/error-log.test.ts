import { expect, it } from 'vitest';
import { memberErrorLog, throttledErrorLog } from '../../platform/process/error-log.ts';

function coded(code: string, message: string): Error {
  return Object.assign(new Error(message), { code });
}

it('writes each cause once, and again after a minute with how often it came', () => {
  let now = 0;
  const lines: string[] = [];
  const log = throttledErrorLog(
    (what, error, more) => lines.push(`${what}: ${String(error)} +${more}`),
    () => now,
  );
  for (let second = 0; second <= 60; second++) {
    now = second * 1_000;
    log('heartbeat', coded('UNAVAILABLE', `no answer after ${second} s`));
    if (second === 5) log('heartbeat', coded('CLOSED', 'closed'));
  }
  expect(lines).toEqual([
    'heartbeat: Error: no answer after 0 s +0',
    'heartbeat: Error: closed +0',
    'heartbeat: Error: no answer after 60 s +59',
  ]);
});

it('does not say of every call that the bus is away', () => {
  const lines: string[] = [];
  const bus = { state: 'connected' };
  const log = memberErrorLog({ warn: (_, message) => lines.push(message) }, bus, () => 0);
  bus.state = 'reconnecting';
  log('heartbeat', coded('UNAVAILABLE', 'NATS is away'));
  log('planning', new TypeError('a bug'));
  bus.state = 'connected';
  log('report', coded('UNAVAILABLE', 'no answer within 2000 ms'));
  expect(lines).toEqual(['planning', 'report']);
});
