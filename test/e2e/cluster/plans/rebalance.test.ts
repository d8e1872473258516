import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';
import { ascendingMs, type Gap, Load, percentile } from '../harness/load.ts';

const model = join(root, 'models/clerk');
const expert = ['--roles', 'expert'];
const workers = { s1: ['--roles', 'stage'], e1: expert, e2: expert, e3: expert };
/** Busiest worker over mean. */
const even = 1.1;
/** Milliseconds after which the measured load is more of what is asked now than of what was asked before. */
const fadingMs = 10_000;
/** Milliseconds for which a cluster must be even to be taken for it. */
const evenMs = 4_000;
/** Milliseconds in which all requests begin at once. */
const beginningMs = 1_000;
/** Milliseconds before a plan is published in which it is made, and after it until experts have moved. */
const movingMs = 500;

function p99(gaps: readonly Gap[]): number {
  return percentile(ascendingMs(gaps), 0.99);
}

/** Asks until experts have moved for it and the cluster stays even. */
async function follow(
  cluster: Cluster,
  load: Load,
): Promise<{ readonly seconds: number; readonly gaps: readonly Gap[]; readonly moves: readonly number[] }> {
  const { epoch } = (await cluster.status()).plan;
  const started = Date.now();
  let evenSince = Number.POSITIVE_INFINITY;
  load.start();
  const { events } = await cluster.untilStatus(({ plan, rebalance, rollout }) => {
    const holds =
      plan.epoch > epoch && rollout.phase === 'complete' && rebalance !== null && rebalance.imbalance < even;
    evenSince = holds ? Math.min(evenSince, Date.now()) : Number.POSITIVE_INFINITY;
    return Date.now() - Math.max(evenSince, started + fadingMs) > evenMs;
  }, 90_000);
  const { failures, changed, gaps } = await load.stop();
  expect([...failures, ...changed]).toEqual([]);
  const moves = events.filter(({ code }) => code === 'EXPERTS_REBALANCED').map(({ at }) => Date.parse(at));
  const begun = started + beginningMs;
  return {
    seconds: (evenSince - started) / 1_000,
    gaps: gaps.filter(({ endedAt, ms }) => endedAt - ms > begun),
    moves: moves.filter((at) => at > begun),
  };
}

describe.skipIf(clusterTests.skip)(
  `a cluster whose traffic favours other experts each time${clusterTests.suffix}`,
  () => {
    it('becomes even and stays so; nobody notices', async () => {
      await using cluster = await Cluster.start({ model, workers, controllerFlags: ['--rebalance', 'auto'] });
      const prepare = (tasks: string): Promise<Load> => Load.prepare({ ...cluster.asked, clients: 16, tasks });
      const [count, sort] = [await prepare('Count'), await prepare('Sort')];
      // Meanwhile all that runs is compiled.
      sort.start();
      await sort.answered(64);
      await sort.stop();
      const rounds = [await follow(cluster, count), await follow(cluster, sort)];
      const gaps = rounds.flatMap((round) => round.gaps);
      const moves = rounds.flatMap((round) => round.moves);
      const within = ({ ms, endedAt }: Gap, move: number): boolean =>
        endedAt > move - movingMs && endedAt - ms < move + movingMs;
      const steady = p99(gaps.filter((gap) => !moves.some((move) => within(gap, move))));
      const moving = moves.map((move) => p99(gaps.filter((gap) => within(gap, move)))).sort((a, b) => a - b);
      const rounded = (values: readonly number[]): string => values.map((value) => value.toFixed(0)).join(', ');
      process.stderr.write(
        `rebalance: even after ${rounded(rounds.map(({ seconds }) => seconds))} s; ` +
          `p99 gap ${rounded(moving)} ms while experts moved, else ${steady.toFixed(0)} ms\n`,
      );
      // The machine may have other work at any moment; not in most of those in which experts moved.
      expect(percentile(moving, 0.5)).toBeLessThanOrEqual(2 * steady);
      const { failures } = await cluster.status();
      expect(failures).toEqual({});
    });
  },
);
