import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { root } from '../server.ts';
import { Cluster, clusterTests } from './harness/cluster.ts';
import { Load, type LoadReport, percentile } from './harness/load.ts';

const model = join(root, 'models/clerk');
const expert = ['--roles', 'expert'];
const workers = { s1: ['--roles', 'stage'], e1: expert, e2: expert, e3: expert };
const share = 0.99;

describe.skipIf(clusterTests.skip)(`a cluster whose traffic favours some experts${clusterTests.suffix}`, () => {
  it('becomes even and stays so; nobody notices', async () => {
    await using cluster = await Cluster.start({ model, workers, controllerFlags: ['--rebalance', 'auto'] });
    const load = await Load.prepare({ ...cluster.asked, clients: 16, tasks: 'Count' });
    const started = performance.now();
    load.start();
    const quiet: LoadReport[] = [await load.measure(3_000)];
    const before = (await cluster.status()).rebalance?.imbalance;
    const even = await cluster.untilStatus(
      ({ rebalance, rollout }) =>
        // It may have begun to follow the load before this test looks.
        rebalance !== null && rebalance.last !== null && rebalance.imbalance < 1.1 && rollout.phase === 'complete',
      90_000,
    );
    const seconds = (performance.now() - started) / 1_000;
    const during = load.take();
    quiet.push(await load.measure(4_000));
    const later = await cluster.status();
    const last = await load.stop();
    const reports = [...quiet, during, last];
    expect(reports.flatMap(({ failures, changed }) => [...failures, ...changed])).toEqual([]);
    const steady = Math.max(...quiet.map(({ gapsMs }) => percentile(gapsMs, share)));
    const moving = percentile(during.gapsMs, share);
    process.stderr.write(
      `rebalance: imbalance ${before} to ${even.rebalance?.imbalance} within ${seconds.toFixed(0)} s, then ${later.rebalance?.imbalance}; ` +
        `p99 gap ${moving.toFixed(0)} ms, steady ${steady.toFixed(0)} ms\n`,
    );
    expect(later.rebalance?.imbalance).toBeLessThan(1.1);
    // Loading experts takes processor time from the streams where all share two cores; nothing stands still.
    expect(moving).toBeLessThanOrEqual(10 * steady);
    expect(later.failures).toEqual({});
    expect(later.events.map(({ code }) => code)).toContain('EXPERTS_REBALANCED');
  });
});
