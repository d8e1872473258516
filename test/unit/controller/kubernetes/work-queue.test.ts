import { describe, expect, it } from 'vitest';
import { WorkQueue } from '../../../../controller/kubernetes/operate/work-queue.ts';

function queue(work: (key: string) => Promise<void>) {
  const timers: { readonly ms: number; readonly run: () => void }[] = [];
  const errors: string[] = [];
  const made = new WorkQueue({
    work,
    onError: (key) => errors.push(key),
    clock: {
      now: () => 0,
      after: (ms, run) => {
        const timer = { ms, run };
        timers.push(timer);
        return () => timers.splice(timers.indexOf(timer), 1);
      },
    },
  });
  return { queue: made, timers, errors };
}

const settled = () => new Promise((resolve) => setImmediate(resolve));

describe('a work queue', () => {
  it('looks at each object once, however often it changed, and at one at a time', async () => {
    const seen: string[] = [];
    let [running, most] = [0, 0];
    const { queue: made } = queue(async (key) => {
      running += 1;
      most = Math.max(most, running);
      await settled();
      running -= 1;
      seen.push(key);
    });
    for (const key of ['a', 'b', 'a', 'a']) made.add(key);
    await settled();
    await settled();
    await settled();
    expect(seen).toEqual(['a', 'b']);
    expect(most).toBe(1);
  });

  it('looks again at what changed while it was looked at', async () => {
    let looks = 0;
    const { queue: made } = queue(async (key) => {
      looks += 1;
      if (looks === 1) made.add(key);
    });
    made.add('a');
    await settled();
    expect(looks).toBe(2);
  });

  it('tries one that fails later and later, and goes on with the others', async () => {
    const seen: string[] = [];
    const {
      queue: made,
      timers,
      errors,
    } = queue(async (key) => {
      seen.push(key);
      if (key === 'a') throw new Error('no');
    });
    made.add('a');
    made.add('b');
    await settled();
    expect(seen).toEqual(['a', 'b']);
    const delays: number[] = [];
    for (let i = 0; i < 10; i++) {
      made.add('a'); // Changes meanwhile do not bring it forward.
      const timer = timers.shift();
      delays.push(timer?.ms ?? 0);
      timer?.run();
      await settled();
    }
    expect(delays).toEqual([500, 1_000, 2_000, 4_000, 8_000, 16_000, 30_000, 30_000, 30_000, 30_000]);
    expect(errors).toHaveLength(11);
  });

  it('looks at nothing after it was stopped', async () => {
    const seen: string[] = [];
    const { queue: made, timers } = queue(async (key) => {
      seen.push(key);
      throw new Error('no');
    });
    made.add('a');
    await settled();
    made.stop();
    made.add('b');
    await settled();
    expect(seen).toEqual(['a']);
    expect(timers).toEqual([]);
  });
});
