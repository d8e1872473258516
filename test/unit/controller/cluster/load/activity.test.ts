import { expect, it } from 'vitest';
import { ActivityBook } from '../../../../../controller/cluster/load/activity.ts';
import { conclave, decode, encode } from '../../../../../proto/messages.ts';

function report(workerId: string, tokensPerSecond: number) {
  return decode(conclave.LoadReport, encode(conclave.LoadReport, { workerId, activity: { tokensPerSecond } }));
}

it('knows what each worker did last, until that is old', () => {
  let now = 0;
  const book = new ActivityBook(() => now);
  expect(book.of('a')).toBeNull();
  book.add(report('a', 5));
  book.add(report('b', 7));
  now = 20_000;
  book.add(report('a', 6));
  expect([book.of('a')?.tokensPerSecond, book.of('b')?.tokensPerSecond]).toEqual([6, 7]);
  now = 20_001;
  expect([book.of('a')?.tokensPerSecond, book.of('b')]).toEqual([6, null]);
});

it('leaves a cache out of account where a worker leads no pipeline', () => {
  const book = new ActivityBook(() => 0);
  book.add(report('a', 5));
  expect(book.of('a')?.kvCacheUsageRatio).toBeUndefined();
});
