/** What a format of tool calls is. Each is a file of `formats`. */
import type { PieceReader, Reading } from '../reading/piece-reader.ts';
import type { CallWriter } from './call-writer.ts';
import type { ToolSchemas } from './tool-schemas.ts';

export interface ToolFormat {
  /** Marks with which calls begin, wherever they stand in an answer. */
  readonly begins: readonly string[];
  /** Further marks, which must be seen where they are special tokens. */
  readonly inner?: readonly string[];
  /** First characters of answers that may be calls without a mark; they must name tools that the request has. */
  readonly bare?: readonly string[];
  /** Marks without meaning, which are left out of content. */
  readonly framing?: readonly string[];
  /** Whether ids are nine letters or digits, as Mistral's templates demand. */
  readonly shortIds?: boolean;
  /** How calls are written; what a grammar must know to enforce them. Null where only the model knows. */
  readonly grammar: CallGrammar | null;
  /** Reads the calls behind a mark, which was read; for bare ones it is empty. Throws Broken for what is none. */
  read(source: PieceReader, calls: CallWriter, mark: string, tools: ToolSchemas): Reading;
}

/** `prefix`, then calls with `between` between them, then `suffix`. */
export interface CallGrammar {
  readonly prefix: string;
  readonly between: string;
  readonly suffix: string;
  readonly beginCall: (name: string) => string;
  /** How arguments stand between begin and end. `xml`: `<parameter=NAME>\nVALUE\n</parameter>`, as Qwen3-Coder writes. */
  readonly arguments: 'json' | 'qwen-xml' | 'minimax-xml' | 'dsml' | 'glm-xml' | 'python';
  readonly endCall: string;
}

/** For formats whose calls are JSON objects. */
export function jsonCalls(
  prefix: string,
  suffix: string,
  { between = ', ', name = 'name', parameters = 'arguments' } = {},
): CallGrammar {
  const beginCall = (called: string): string => `{"${name}": ${JSON.stringify(called)}, "${parameters}": `;
  return { prefix, between, suffix, beginCall, arguments: 'json', endCall: '}' };
}
