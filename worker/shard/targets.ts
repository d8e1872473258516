import type { ChannelCredentials, Metadata } from '@grpc/grpc-js';
import type { ForwardResponse__Output as ForwardResponse } from '../../proto/generated/conclave/v1/ForwardResponse.ts';
import type { WorkerSession } from '../../proto/worker-session.ts';
import { ShardFailure } from '../wire/failure.ts';
import type { UnsentRequest } from '../wire/frame.ts';
import type { DispatchTarget } from './dispatcher.ts';
import { type HealthOptions, PeerHealth } from './health.ts';
import type { TargetHealth } from './replicas.ts';
import { ShardPeer } from './shard-peer.ts';

export interface TargetsOptions {
  readonly credentials: ChannelCredentials;
  readonly metadata: () => Metadata;
  readonly health: HealthOptions;
  /** Called with every failure of a peer. */
  readonly onFailure: (failure: ShardFailure) => void;
  /** Milliseconds between looks at peers that are out. */
  readonly probeIntervalMs?: number;
  /** Milliseconds within which a probe must be answered. */
  readonly probeDeadlineMs?: number;
}

interface Entry {
  readonly peer: ShardPeer;
  readonly health: PeerHealth;
  readonly target: DispatchTarget;
  probing: boolean;
}

const PROBE: UnsentRequest = { dtype: 'DATA_TYPE_BF16', operator: 'OPERATOR_FFN' };

/**
 * The workers that this stage dispatches to, each under a number > 0 that native routes use. A number is never given to
 * another worker or address. A worker is usable once it has answered a probe, until it fails.
 */
export class Targets implements TargetHealth {
  readonly #options: TargetsOptions;
  readonly #entries = new Map<number, Entry>();
  readonly #numbers = new Map<string, number>();
  #next = 1;
  #onChange: () => void = () => undefined;
  readonly #timer: NodeJS.Timeout;

  constructor(options: TargetsOptions) {
    this.#options = options;
    this.#timer = setInterval(() => this.#probeDue(), options.probeIntervalMs ?? 100);
    this.#timer.unref();
  }

  /** Calls `listener` from now on when the set of usable targets changes: routes must be made again. */
  onChange(listener: () => void): void {
    this.#onChange = listener;
  }

  /** Makes the set of workers exactly this one: opens streams to new ones, closes those that are gone. */
  update(workers: readonly { readonly id: string; readonly address: string }[]): void {
    const wanted = new Set(workers.map(keyOf));
    for (const [key, number] of this.#numbers) {
      if (wanted.has(key)) continue;
      this.#numbers.delete(key);
      this.#entries.get(number)?.peer.close();
      this.#entries.delete(number);
    }
    for (const worker of workers) {
      if (!this.#numbers.has(keyOf(worker))) this.#add(worker);
    }
    this.#onChange();
  }

  /** Number of a worker, or undefined when it is not a target. */
  numberOf(id: string, address: string): number | undefined {
    return this.#numbers.get(keyOf({ id, address }));
  }

  get(target: number): DispatchTarget | undefined {
    return this.#entries.get(target)?.target;
  }

  usable(target: number): boolean {
    return target === 0 || this.#entries.get(target)?.health.usable === true;
  }

  share(target: number): number {
    return this.#entries.get(target)?.health.share ?? 1;
  }

  /** A worker says that it is there: a stream that waits for its next try is opened now. */
  retryNow(id: string): void {
    for (const { peer } of this.#entries.values()) if (peer.id === id) peer.retryNow();
  }

  /** Whether each worker answers, for status and logs. */
  states(): readonly { readonly id: string; readonly usable: boolean; readonly latencyMs: number }[] {
    return [...this.#entries.values()].map(({ peer, health }) => ({
      id: peer.id,
      usable: health.usable,
      latencyMs: health.latencyMs,
    }));
  }

  /** Workers that answer here at their addresses, and are themselves. */
  reached(): readonly WorkerSession[] {
    return [...this.#entries.values()].flatMap(({ peer, health }) => (health.usable ? (peer.session ?? []) : []));
  }

  close(): void {
    clearInterval(this.#timer);
    for (const entry of this.#entries.values()) entry.peer.close();
    this.#entries.clear();
    this.#numbers.clear();
  }

  #add(worker: { readonly id: string; readonly address: string }): void {
    const { credentials, metadata, health: healthOptions } = this.#options;
    const number = this.#next++;
    const health = new PeerHealth(healthOptions);
    const fail = (failure: ShardFailure): void => {
      this.#options.onFailure(failure);
      if (failure.code === 'BUSY') return; // Loaded, not broken.
      const out = failure.code === 'REFUSED' ? health.refused() : health.failed();
      if (out) this.#onChange();
    };
    const peer = new ShardPeer({
      id: worker.id,
      address: worker.address,
      credentials,
      metadata,
      onState: (connected) => {
        const entry = this.#entries.get(number);
        if (connected && entry !== undefined) this.#probe(entry);
        else if (!connected && health.failed()) this.#onChange();
      },
      onPoisoned: fail,
    });
    const target: DispatchTarget = {
      id: worker.id,
      deadlineMs: (rows) => health.deadlineMs(rows),
      forward: (request, deadlineMs, rows) => timed(peer, health, fail, request, deadlineMs, rows),
      reject: fail,
    };
    this.#numbers.set(keyOf(worker), number);
    this.#entries.set(number, { peer, health, target, probing: false });
  }

  #probeDue(): void {
    for (const entry of this.#entries.values()) {
      if (entry.peer.connected && entry.health.probeDue) this.#probe(entry);
    }
  }

  #probe(entry: Entry): void {
    if (entry.probing) return;
    entry.probing = true;
    entry.peer
      .forward(PROBE, this.#options.probeDeadlineMs ?? 1_000)
      .then(
        () => {
          if (entry.health.recovered()) this.#onChange();
        },
        () => entry.health.failed(),
      )
      .finally(() => {
        entry.probing = false;
      });
  }
}

function timed(
  peer: ShardPeer,
  health: PeerHealth,
  fail: (failure: ShardFailure) => void,
  request: UnsentRequest,
  deadlineMs: number,
  rows: number,
): Promise<ForwardResponse> {
  const started = performance.now();
  return peer.forward(request, deadlineMs).then(
    (response) => {
      health.answered(performance.now() - started, rows);
      return response;
    },
    (error: unknown) => {
      if (error instanceof ShardFailure) fail(error);
      throw error;
    },
  );
}

function keyOf(worker: { readonly id: string; readonly address: string }): string {
  return `${worker.id}@${worker.address}`;
}
