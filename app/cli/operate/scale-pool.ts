import type { z } from 'zod';
import type { ScaleResponse__Output as ScaleResponse } from '../../../proto/generated/conclave/v1/ScaleResponse.ts';
import { CliError } from '../../command/exit.ts';
import { ConfigError } from '../../config/load-config.ts';
import type { scaleSchema } from '../../config/operate-config.ts';
import type { ControlClient } from './control-client.ts';
import { json, write } from './operate-command.ts';

const POLL_MS = 500;

/** Asks for so many workers of an ExpertPool on Kubernetes: the same as "kubectl scale xp/POOL". */
export async function scalePool(
  control: ControlClient,
  pool: string,
  config: z.output<typeof scaleSchema>,
): Promise<void> {
  const { replicas, layer, expert, hot, dryRun, wait, output } = config;
  if (layer !== null || expert !== null || hot !== null) {
    throw new ConfigError([
      '--pool: expected workers of a pool, or copies of experts with --layer and --expert or --hot',
    ]);
  }
  if (dryRun)
    throw new ConfigError(['--dry-run: expected without --pool: what moves is planned once workers come or go']);
  const { poolReplicasBefore } = await control.call<ScaleResponse>((metadata, options, done) =>
    control.client.Scale({ replicas, pool }, metadata, options, done),
  );
  if (wait !== null) await untilThere(control, pool, replicas, wait);
  const text = `ExpertPool ${pool}: ${poolReplicasBefore} → ${replicas} workers\n`;
  write(output === 'json' ? json({ pool, replicas, before: poolReplicasBefore }) : text);
}

/** Until as many of the pool's workers are there and hold what the plan gives them. */
async function untilThere(control: ControlClient, pool: string, replicas: number, waitMs: number): Promise<void> {
  const started = performance.now();
  for (;;) {
    const { workers } = await control.status();
    const own = workers.filter(({ id, state }) => id.startsWith(`${pool}-expert-`) && state !== 'WORKER_STATE_LOST');
    if (own.length === replicas && own.every(({ state }) => state === 'WORKER_STATE_READY')) return;
    if (performance.now() - started > waitMs) {
      throw new CliError(
        `ExpertPool ${pool} has ${own.length} workers, not ${replicas} that are ready, after ${waitMs / 1_000} s; it goes on`,
        `See "conclave status" and "kubectl describe xp/${pool}".`,
      );
    }
    await new Promise((resolve) => setTimeout(resolve, POLL_MS));
  }
}
