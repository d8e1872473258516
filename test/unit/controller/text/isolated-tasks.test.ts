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
    maxWaitingEach: 40,
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
  const run = (size: number, client?: string): void => void tasks.run(size, null, client).catch(() => {});
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

it('clients take turns among equal tasks, however many one has, and none fills the queue', async () => {
  const { tasks, posted, run, finish } = started();
  const whose: string[] = [];
  const runOf = (client: string): void =>
    void tasks.run(7, null, client).then(
      () => whose.push(client),
      () => {},
    );
  for (const client of 'aaaaabbc') runOf(client);
  for (let i = 0; i < 8; i++) {
    finish();
    await Promise.resolve();
  }
  expect(whose.join('')).toBe('aabcabaa');
  run(1, 'a');
  for (let i = 0; i < 40; i++) run(1, 'a');
  await expect(tasks.run(1, null, 'a')).rejects.toMatchObject({ code: 'OVERLOADED' });
  const other = tasks.run(1, null, 'b');
  for (let i = 0; i < 3; i++) finish();
  await other;
  expect(posted.length).toBeLessThan(20);
  await tasks.close();
});
