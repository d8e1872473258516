/**
 * Which tokens the next step computes. Pure bookkeeping: no clock, no promises.
 *
 * Running sequences decode first, then unfinished prompts continue, then waiting sequences are admitted, each in order of
 * arrival. Admission takes blocks for the whole prompt, so only decoding can run out of them; then the youngest sequence
 * gives up its blocks and is computed again later. The oldest never does: it always advances, and so, in turn, do all.
 * Sequences of a step in flight are left alone until it returns.
 */
import type { StepOutput } from '../../../native/native.ts';
import type { StepFailure } from '../../errors.ts';
import type { Cache } from '../cache/cache.ts';
import type { EngineLimits } from '../request/limits.ts';
import { StepPlan } from './batch.ts';
import type { FinishReason, Sequence } from './sequence.ts';
import { SequenceList } from './sequence-list.ts';

export interface FailedStep {
  /** Computed again. */
  readonly retried: readonly Sequence[];
  /** Ended with FINISH_REASON_ERROR. */
  readonly failed: readonly Sequence[];
}

export class Scheduler {
  readonly cache: Cache;
  readonly running = new SequenceList();
  readonly waiting = new SequenceList();
  readonly #limits: EngineLimits;
  readonly #onPreempted: (sequence: Sequence) => void;
  readonly #plans: StepPlan[] = [];
  /** Sequences submitted and not ended. */
  #live = 0;
  #isolated = 0;
  /** Cache.releases when the first waiting sequence last did not fit. */
  #blockedAt = -1;
  #prefixQueriedTokens = 0;
  #prefixHitTokens = 0;

  constructor(limits: EngineLimits, cache: Cache, onPreempted: (sequence: Sequence) => void) {
    this.#limits = limits;
    this.cache = cache;
    this.#onPreempted = onPreempted;
  }

  /** Sequences that have not ended. */
  get live(): number {
    return this.#live;
  }

  get prefixQueriedTokens(): number {
    return this.#prefixQueriedTokens;
  }

  get prefixHitTokens(): number {
    return this.#prefixHitTokens;
  }

  /** Takes a request's sequences. All but the first are held until the prompt is cached, where that spares them a part of it. */
  submit(sequences: readonly Sequence[]): void {
    const [leader, ...followers] = sequences;
    if (leader === undefined) return;
    this.#live += sequences.length;
    this.#wait(leader);
    if (leader.request.prompt.length >= this.cache.shortestReuse) leader.followers = followers;
    else for (const follower of followers) this.#wait(follower);
  }

  /** Plans a step over sequences that are not in flight. Null when there is nothing to compute. */
  schedule(): StepPlan | null {
    const plan = this.#plans.pop() ?? new StepPlan(this.#limits, this.cache.blocks.blockSize);
    if (this.#isolated > 0) this.#addIsolated(plan);
    if (plan.sequences.length === 0) {
      const most = Math.ceil(Math.min(this.#limits.maxSequences, this.#live) / this.#limits.maxInFlight);
      this.#addDecodes(plan, most);
      this.#addPrefills(plan, most);
      this.#addWaiting(plan, most);
    }
    if (plan.sequences.length > 0) return plan;
    this.recycle(plan);
    return null;
  }

  /** Takes in a step's results. The plan then says which sequences they count for, until it is recycled. */
  complete(plan: StepPlan, output: StepOutput): void {
    for (let i = 0; i < plan.sequences.length; i++) {
      const sequence = plan.sequences[i]!;
      sequence.inFlight = false;
      if (sequence.onReturn !== 'continue') {
        plan.dropped[i] = 1;
        this.#finishReturn(sequence);
        continue;
      }
      this.#advance(sequence, plan.rowCounts[i]!);
      const token = plan.sampled[i] === 1 ? output.tokens[plan.logitsEnds[i]! - 1]! : null;
      if (token === -1) {
        plan.sampled[i] = 0;
        this.#end(sequence, sequence.filter?.complete === true ? 'FINISH_REASON_STOP' : 'FINISH_REASON_LENGTH');
        continue;
      }
      if (token !== null) sequence.append(token);
      const reason = token !== null || sequence.pending === 0 ? sequence.finishReasonNow() : null;
      if (reason !== null) this.#end(sequence, reason);
      else if (sequence.paused) this.#requeue(sequence);
    }
  }

  /** Takes in that a step could not be computed: nothing that its blocks held is used again. */
  fail(plan: StepPlan, failure: StepFailure): FailedStep {
    const retried: Sequence[] = [];
    const failed: Sequence[] = [];
    const spoilt = this.cache.spoil(
      plan.sequences.map(({ cache }) => cache),
      failure.cacheLost,
    );
    const alone = plan.sequences.length === 1;
    for (const sequence of plan.sequences) {
      sequence.inFlight = false;
      if (sequence.onReturn === 'end') {
        this.#finishReturn(sequence);
        continue;
      }
      sequence.onReturn = 'continue';
      sequence.failures++;
      const hopeless = failure.kind === 'fatal' || (failure.kind === 'unknown' && alone);
      if (hopeless || sequence.failures > this.#limits.maxStepRetries) {
        this.#end(sequence, 'FINISH_REASON_ERROR');
        failed.push(sequence);
      } else {
        if (failure.kind === 'unknown') this.#isolate(sequence, true);
        this.#requeue(sequence);
        retried.push(sequence);
      }
    }
    for (const sequence of [...this.running.items]) {
      if (!failure.cacheLost && !sequence.cache.table.holdsAny(spoilt)) continue;
      if (!sequence.inFlight) this.#requeue(sequence);
      else if (sequence.onReturn === 'continue') sequence.onReturn = 'recompute';
    }
    return { retried, failed };
  }

  /** Gives a plan's arrays back for the next step. */
  recycle(plan: StepPlan): void {
    plan.clear();
    this.#plans.push(plan);
  }

  /** Ends a sequence: now, or when its step returns. */
  end(sequence: Sequence, reason: FinishReason): void {
    if (sequence.state === 'ended') return;
    sequence.finishReason = reason;
    if (sequence.inFlight) sequence.onReturn = 'end';
    else this.#end(sequence, reason);
  }

  /** Takes a sequence out until `resume`; its blocks stay cached as long as nobody needs them. */
  pause(sequence: Sequence): void {
    if (sequence.paused || sequence.state === 'ended') return;
    sequence.paused = true;
    if (!sequence.inFlight) this.#requeue(sequence);
  }

  resume(sequence: Sequence): void {
    if (!sequence.paused) return;
    sequence.paused = false;
    if (sequence.state === 'held') this.#wait(sequence);
  }

  #addIsolated(plan: StepPlan): void {
    const running = this.running.items.find((sequence) => sequence.isolated && !sequence.inFlight);
    if (running !== undefined) {
      if (this.#makeRoom(running)) this.#add(plan, running);
      return;
    }
    const first = this.waiting.first;
    if (first?.isolated === true && this.running.length < this.#limits.maxSequences && this.#admit(first)) {
      this.#add(plan, first);
    }
  }

  #addDecodes(plan: StepPlan, most: number): void {
    const { items } = this.running;
    let at = 0;
    while (at < items.length && plan.sequences.length < most) {
      const sequence = items[at]!;
      if (!sequence.inFlight && !sequence.isolated && sequence.pending === 1 && this.#makeRoom(sequence)) {
        this.#add(plan, sequence);
      }
      if (items[at] === sequence) at++;
    }
  }

  #addPrefills(plan: StepPlan, most: number): void {
    for (const sequence of this.running.items) {
      if (plan.sequences.length >= most || plan.rows >= this.#limits.maxBatchedTokens) return;
      if (!sequence.inFlight && !sequence.isolated && sequence.pending > 1) this.#add(plan, sequence);
    }
  }

  #addWaiting(plan: StepPlan, most: number): void {
    const { maxBatchedTokens, maxSequences } = this.#limits;
    while (plan.sequences.length < most && plan.rows < maxBatchedTokens && this.running.length < maxSequences) {
      const first = this.waiting.first;
      if (first === undefined || first.isolated || !this.#admit(first)) return;
      this.#add(plan, first);
    }
  }

  #add(plan: StepPlan, sequence: Sequence): void {
    plan.add(sequence, Math.min(sequence.pending, this.#limits.maxBatchedTokens - plan.rows));
    sequence.inFlight = true;
  }

  /**
   * Gives the first waiting sequence room for all its tokens. One block per running sequence stays free, so that the
   * newcomer is not preempted before the others have filled a block each.
   */
  #admit(sequence: Sequence): boolean {
    const others = this.running.length;
    if (others > 0 && this.#blockedAt === this.cache.releases) return false;
    const reused = this.cache.admit(sequence.cache, sequence, others);
    if (reused === null) {
      this.#blockedAt = this.cache.releases;
      return false;
    }
    sequence.computed = reused;
    if (sequence.cachedTokens === null) {
      const { length } = sequence.request.prompt;
      sequence.cachedTokens = Math.min(reused, length);
      this.#prefixQueriedTokens += length;
      this.#prefixHitTokens += sequence.cachedTokens;
    }
    this.waiting.remove(sequence);
    sequence.state = 'running';
    this.running.insert(sequence);
    return true;
  }

  /** Gets a running sequence room for its next token, if need be by preempting the youngest. */
  #makeRoom(sequence: Sequence): boolean {
    while (!this.cache.grow(sequence.cache, sequence.length)) {
      const youngest = this.running.items.findLast((candidate) => !candidate.inFlight)!;
      const last = this.running.items.at(-1)!;
      if (youngest === sequence && last !== sequence) return false;
      this.#requeue(youngest);
      this.#onPreempted(youngest);
      if (youngest === sequence) return false;
    }
    return true;
  }

  #advance(sequence: Sequence, rows: number): void {
    const { length } = sequence.request.prompt;
    sequence.computed += rows;
    sequence.failures = 0;
    this.cache.commit(sequence.cache, sequence, sequence.computed);
    if (sequence.scored !== null) {
      sequence.scored = sequence.computed >= length ? null : Math.max(sequence.scored, sequence.computed);
    }
    if (sequence.computed >= length) this.#releaseFollowers(sequence);
    if (sequence.pending === 0) this.#isolate(sequence, false);
  }

  #finishReturn(sequence: Sequence): void {
    if (sequence.onReturn === 'end') this.#end(sequence, sequence.finishReason);
    else this.#requeue(sequence);
    sequence.onReturn = 'continue';
  }

  /** Takes a running or waiting sequence's blocks away; it will be computed again. */
  #requeue(sequence: Sequence): void {
    this.#leave(sequence);
    if (sequence.paused) sequence.state = 'held';
    else this.#wait(sequence);
  }

  #wait(sequence: Sequence): void {
    sequence.state = 'waiting';
    this.waiting.insert(sequence);
    if (this.waiting.first === sequence) this.#blockedAt = -1;
  }

  #end(sequence: Sequence, reason: FinishReason): void {
    this.#leave(sequence);
    this.#isolate(sequence, false);
    sequence.state = 'ended';
    sequence.finishReason = reason;
    this.#live--;
    this.#releaseFollowers(sequence);
  }

  #leave(sequence: Sequence): void {
    if (sequence.state === 'running') this.running.remove(sequence);
    if (sequence.state === 'waiting') this.waiting.remove(sequence);
    this.cache.release(sequence.cache);
    sequence.computed = 0;
  }

  #releaseFollowers(leader: Sequence): void {
    const { followers } = leader;
    if (followers.length === 0) return;
    leader.followers = [];
    for (const follower of followers) if (follower.state === 'held' && !follower.paused) this.#wait(follower);
  }

  #isolate(sequence: Sequence, isolated: boolean): void {
    if (sequence.isolated === isolated) return;
    sequence.isolated = isolated;
    this.#isolated += isolated ? 1 : -1;
  }
}
