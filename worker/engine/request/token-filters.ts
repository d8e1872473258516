import { createHash } from 'node:crypto';
import type { Grammar, Native, Runtime, TokenFilter, Vocabulary, VocabularyOptions } from '../../../native/native.ts';
import type { Grammar as GrammarMessage, TokenConstraint } from '../../../proto/messages.ts';
import { invalidArgument } from './errors.ts';

/** Makes what follows the sequences of a request and says which tokens may come. */
export interface TokenFilters {
  /** A filter for one sequence. Throws INVALID_ARGUMENT. */
  create(constraint: TokenConstraint, endTokens: Iterable<number>): TokenFilter;
}

/** Grammars that are kept with what is known of their masks, so that requests that ask for the same share it. */
const KEPT_GRAMMARS = 32;

/** Filters of the native engine. A grammar is made once for all requests that have it. */
export class NativeTokenFilters implements TokenFilters {
  readonly #native: Native;
  readonly #runtime: Runtime;
  readonly #vocabulary: Vocabulary;
  readonly #vocabularySize: number;
  readonly #grammars = new Map<string, Grammar>();
  /** Of messages in use: the sequences of a request share theirs. */
  readonly #digests = new WeakMap<GrammarMessage, string>();

  private constructor(native: Native, runtime: Runtime, vocabulary: Vocabulary, vocabularySize: number) {
    this.#native = native;
    this.#runtime = runtime;
    this.#vocabulary = vocabulary;
    this.#vocabularySize = vocabularySize;
  }

  /** Rejects with a native error. */
  static async open(native: Native, runtime: Runtime, tokens: VocabularyOptions): Promise<NativeTokenFilters> {
    const vocabulary = await native.createVocabulary(runtime, tokens);
    return new NativeTokenFilters(native, runtime, vocabulary, tokens.special.length);
  }

  create(constraint: TokenConstraint, endTokens: Iterable<number>): TokenFilter {
    const { grammar, allowedTokenIds, badWords, minTokens } = constraint;
    try {
      return this.#native.createTokenFilter(this.#runtime, {
        grammar: grammar === null ? null : this.#grammar(grammar),
        vocabularySize: this.#vocabularySize,
        endTokens: Int32Array.from(endTokens),
        allowedTokens: Int32Array.from(allowedTokenIds),
        badWords: badWords.map(({ ids }) => Int32Array.from(ids)),
        minTokens: Math.min(minTokens, 2 ** 31 - 1),
      });
    } catch (error) {
      throw invalidArgument('constraint', (error as Error).message);
    }
  }

  #grammar(message: GrammarMessage): Grammar {
    const key = this.#digests.get(message) ?? digestOf(message);
    this.#digests.set(message, key);
    const grammar = this.#grammars.get(key) ?? this.#native.createGrammar(this.#vocabulary, message);
    this.#grammars.delete(key);
    this.#grammars.set(key, grammar);
    const [oldest] = this.#grammars.keys();
    if (this.#grammars.size > KEPT_GRAMMARS && oldest !== undefined) this.#grammars.delete(oldest);
    return grammar;
  }
}

function digestOf({ rules, edgeOffsets, edges, final, plainRuns }: GrammarMessage): string {
  const hash = createHash('sha256');
  for (const part of [rules, edgeOffsets, edges, final, plainRuns]) hash.update(`${part.length}:`).update(part);
  return hash.digest('base64');
}
