import { expect, it } from 'vitest';
import { type HostEvents, IsolatedTasks } from '../../../../controller/text/isolated/isolated-tasks.ts';

/** Tasks are their sizes; a task is answered by itself when it is told to. */
function started() {
  let events: HostEvents<number> | null = null;
  const posted: number[] = [];
  const tasks = new IsolatedTasks<number, number>({
    start(given) {
      events = given;
      return { post: (task) => void posted.push(task), end: async () => {} };
    },
    timeLimitMs: 60_000,
    maxWaiting: 100,
    ahead: 0,
    size: (task) => task,
    tooLong: () => {
      throw new Error('no task takes long here');
    },
    lost: (_, cause) => {
      throw cause;
    },
    full: 'full',
  });
  const finish = (): void => events?.onAnswer(posted.at(-1) ?? 0);
  const run = (size: number): void => void tasks.run(size, null).catch(() => {});
  return { tasks, posted, run, finish };
}

it('small tasks go before large ones that wait, and equal ones in their order', async () => {
  const { tasks, posted, run, finish } = started();
  for (const size of [50, 90, 10, 70, 10.5, 10]) run(size);
  for (let i = 0; i < 5; i++) finish();
  expect(posted).toEqual([50, 10, 10, 10.5, 70, 90]);
  finish();
  await tasks.close();
});

it('a large task is passed over a bounded number of times', async () => {
  const { tasks, posted, run, finish } = started();
  for (const size of [1, 90]) run(size);
  for (let i = 0; i < 20; i++) {
    run(2);
    finish();
  }
  expect(posted.indexOf(90)).toBe(9);
  await tasks.close();
});
