import { expect, it } from 'vitest';
import { FirstTokenTarget } from '../../../../controller/gateway/first-token-target.ts';

it('compares what nine requests in ten of the last minute waited with the target', () => {
  const clock = { now: 0 };
  const target = new FirstTokenTarget(200, () => clock.now);
  expect(target.ratio()).toBe(0);
  for (let i = 1; i <= 10; i++) target.observe(100 * i);
  expect(target.ratio()).toBe(4.5);
  clock.now += 59_000;
  target.observe(100);
  expect(target.ratio()).toBe(4.5);
  clock.now += 2_000;
  expect(target.ratio()).toBe(0.5);
});

it('keeps no more than the latest requests, however many there are', () => {
  const target = new FirstTokenTarget(100, () => 0);
  for (let i = 0; i < 2_048; i++) target.observe(1_000);
  for (let i = 0; i < 10_000; i++) target.observe(50);
  expect(target.ratio()).toBe(0.5);
});
