import { credentials } from '@grpc/grpc-js';
import { expect, vi } from 'vitest';
import { type ClusterController, startClusterController } from '../../../controller/cluster/cluster-controller.ts';
import { compileModel } from '../../../controller/model/compile.ts';
import { defaultConstraints, type LayoutConstraints } from '../../../controller/planner/input/input.ts';
import { loadNative } from '../../../native/load.ts';
import { MemoryBus } from '../../../platform/bus/memory-bus.ts';
import { systemClock } from '../../../platform/process/clock.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { stateSlotsFor } from '../../../proto/model/cache.ts';
import type { ShardFailure } from '../../../worker/wire/failure.ts';
import { type ClusterWorker, startClusterWorker } from '../../../worker/wiring/cluster-worker.ts';

export interface WorkerSetup {
  readonly id: string;
  readonly roles: readonly ('stage' | 'expert')[];
  /** Checkpoint folder of this worker; the cluster's unless given. */
  readonly directory?: string;
}

export interface ClusterSetup {
  readonly directory: string;
  /** Instead of what the folder says. */
  readonly spec?: ModelSpec;
  readonly workers: readonly WorkerSetup[];
  readonly layout?: Partial<LayoutConstraints>;
  readonly replicas?: number;
  readonly redundancy?: number;
  readonly rebalance?: 'auto' | 'off';
  readonly overlapRows?: number;
}

/** A cluster whose members share this process and a bus in memory, but talk over real sockets. */
export interface LocalCluster {
  readonly controller: ClusterController;
  readonly workers: Map<string, ClusterWorker>;
  readonly failures: ShardFailure[];
  readonly coldLoads: string[];
  readonly errors: string[];
  addWorker(setup: WorkerSetup): Promise<ClusterWorker>;
  /** Resolves once the newest plan is in force and requests can be answered. */
  settled(): Promise<void>;
  close(): Promise<void>;
}

const native = loadNative();
const nothing = (): void => undefined;

export async function startLocalCluster(setup: ClusterSetup): Promise<LocalCluster> {
  const spec = setup.spec ?? (await compileModel(setup.directory)).spec;
  const maxNumSeqs = 16;
  const failures: ShardFailure[] = [];
  const coldLoads: string[] = [];
  const errors: string[] = [];
  const onError = (what: string, error: unknown): void => void errors.push(`${what}: ${String(error)}`);
  const bus = new MemoryBus({ clock: systemClock, onError: (error) => onError('bus', error) });
  const controller = await startClusterController({
    bus,
    cluster: 'test',
    id: 'c1',
    directory: setup.directory,
    spec,
    weights: 'f32',
    maxModelLen: 128,
    maxNumSeqs,
    maxNumBatchedTokens: 256,
    constraints: {
      ...defaultConstraints,
      layout: { ...defaultConstraints.layout, ...setup.layout },
      defaultReplicas: setup.replicas ?? 1,
      kvBlocks: 128,
      blockSize: 4,
      stateSlots: stateSlotsFor(spec, maxNumSeqs),
      redundancy: setup.redundancy ?? 0,
    },
    rebalance: setup.rebalance ?? 'off',
    minWorkers: setup.workers.length,
    leastKvBlocks: 32,
    verifyWeights: true,
    credentials: credentials.createInsecure(),
    onError,
  });
  const workers = new Map<string, ClusterWorker>();
  const addWorker = async ({ id, roles, directory }: WorkerSetup): Promise<ClusterWorker> => {
    const worker = await startClusterWorker({
      native,
      bus,
      cluster: 'test',
      id,
      node: id,
      version: 'test',
      directory: directory ?? setup.directory,
      roles,
      memoryBytes: 2 ** 28,
      threads: 1,
      isa: null,
      host: '127.0.0.1',
      port: 0,
      advertiseHost: '127.0.0.1',
      tls: null,
      credentials: credentials.createInsecure(),
      hedgeMs: null,
      dispatchDeadlineMs: 2_000,
      overlapRows: setup.overlapRows ?? 64,
      readTokens: async (size) => ({
        bytes: new Uint8Array(0),
        offsets: new Int32Array(size + 1),
        special: new Uint8Array(size),
      }),
      onNoTokens: (error) => onError('tokens', error),
      modelDeadlineMs: 5_000,
      observer: {
        onAnswer: nothing,
        onRetry: nothing,
        onHedge: nothing,
        onColdRows: nothing,
        onForward: nothing,
        onRefused: nothing,
        onLoadFailed: nothing,
        onPeerFailure: (failure) => failures.push(failure),
        onColdLoad: (layer, experts) => coldLoads.push(`${layer}: ${experts.join()}`),
        onError,
        engine: {
          onStep: nothing,
          onPreemption: nothing,
          onStarted: nothing,
          onFirstToken: nothing,
          onFinished: nothing,
          onStepFailed: (error) => onError('step', error),
          onFault: (error) => onError('fault', error),
        },
      },
    });
    workers.set(id, worker);
    return worker;
  };
  await Promise.all(setup.workers.map(addWorker));
  return {
    controller,
    workers,
    failures,
    coldLoads,
    errors,
    addWorker,
    settled: () =>
      vi.waitFor(
        () => {
          const { target, committed } = controller.view;
          expect(controller.obstacles()).toEqual([]);
          expect(committed?.epoch).toBe(target?.epoch);
        },
        { timeout: 15_000, interval: 20 },
      ),
    close: async () => {
      await controller.close();
      await Promise.all([...workers.values()].map((worker) => worker.close()));
      await bus.close();
    },
  };
}
