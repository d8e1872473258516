import type { ExecutorLimits } from '../step/executor.ts';
import { EngineError } from './errors.ts';

/** Bounds of what the engine takes on. */
export interface EngineLimits {
  /** Longest sequence, prompt and output together, in tokens. */
  readonly maxModelLen: number;
  /** Sequences that run at once, over all steps in flight. No more than maxBatchedTokens do: each decodes in every step. */
  readonly maxSequences: number;
  /** Rows per step: decoding sequences have one each, prompts share the rest. */
  readonly maxBatchedTokens: number;
  /** Sequences held besides those that can run; a request that would exceed them is refused with OVERLOADED. */
  readonly maxWaiting: number;
  /** Steps in flight; more than 1 keeps the stages of a longer pipeline busy. */
  readonly maxInFlight: number;
  /** Most sequences per request. */
  readonly maxSequencesPerRequest: number;
  /** Most alternatives that log-probabilities may ask for. */
  readonly maxLogprobs: number;
  /** Tokens and scored prompt positions of a sequence that wait for the consumer; at this number the sequence pauses. */
  readonly maxUnreadTokens: number;
  /** A request whose consumer lets a sequence pause for this long is cancelled. Milliseconds. */
  readonly stallTimeoutMs: number;
  /** Consecutive failed steps after which a sequence is given up. */
  readonly maxStepRetries: number;
}

export const defaultEngineLimits: Omit<EngineLimits, 'maxModelLen'> = {
  maxSequences: 64,
  maxBatchedTokens: 512,
  maxWaiting: 256,
  maxInFlight: 1,
  maxSequencesPerRequest: 128,
  maxLogprobs: 20,
  maxUnreadTokens: 512,
  stallTimeoutMs: 60_000,
  maxStepRetries: 5,
};

const mayBeZero: ReadonlySet<string> = new Set(['maxWaiting', 'maxLogprobs', 'maxStepRetries', 'stateSlots']);

/** Throws INVALID_ARGUMENT, listing everything that is wrong. */
export function checkEngineLimits(limits: EngineLimits, executor: ExecutorLimits): void {
  const problems: string[] = [];
  for (const [name, value] of Object.entries({ ...limits, ...executor })) {
    const least = mayBeZero.has(name) ? 0 : 1;
    if (!Number.isSafeInteger(value) || value < least) {
      problems.push(`${name}: expected an integer of at least ${least}, got ${value}`);
    }
  }
  const positions = executor.kvBlocks * executor.blockSize;
  if (limits.maxModelLen > positions) {
    problems.push(
      `maxModelLen: ${limits.maxModelLen} tokens do not fit into the cache of ${positions} positions ` +
        `(${executor.kvBlocks} blocks of ${executor.blockSize})`,
    );
  }
  if (problems.length > 0) throw new EngineError('INVALID_ARGUMENT', problems.join('; '));
}
