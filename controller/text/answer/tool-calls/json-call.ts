/** Calls as JSON: `{"name": …, "arguments": {…}}`, one or a list of them. */
import { readJson, readJsonText } from '../reading/json-reader.ts';
import { Broken, type PieceReader, type Reading } from '../reading/piece-reader.ts';
import { asJson } from './argument-values.ts';
import type { CallWriter } from './call-writer.ts';
import type { ToolSchemas } from './tool-schemas.ts';

export interface JsonCallOptions {
  /** Where nothing marks calls: only these tools are called, and members that no call has break it. */
  readonly known?: ToolSchemas | null;
  /** Whether the calls' own ids are kept. */
  readonly keepIds?: boolean;
}

const names: ReadonlySet<string> = new Set(['name', 'tool_name', 'function_name']);
const parameters: ReadonlySet<string> = new Set(['arguments', 'parameters', 'args']);
const ids: ReadonlySet<string> = new Set(['id', 'tool_call_id', 'call_id']);

/** A call, or a list of calls. */
export function* readJsonCalls(source: PieceReader, calls: CallWriter, options: JsonCallOptions = {}): Reading {
  if ((yield* source.option(['['])) === null) {
    yield* readJsonCall(source, calls, options);
    return;
  }
  for (;;) {
    yield* source.blanks();
    if ((yield* source.option([']'])) !== null) return;
    yield* readJsonCall(source, calls, options);
    yield* source.blanks();
    if ((yield* source.option([','])) !== null) continue;
    // The last bracket is forgotten now and then.
    yield* source.option([']']);
    return;
  }
}

/** What a call's members have said so far. */
interface CallState {
  name: string | null;
  id: string | null;
  /** Arguments that came before the name. */
  early: string | null;
  begun: boolean;
}

export function* readJsonCall(source: PieceReader, calls: CallWriter, options: JsonCallOptions = {}): Reading {
  const call: CallState = { name: null, id: null, early: null, begun: false };
  yield* readCallMembers(source, calls, options, call, true);
  if (call.name === null) throw new Broken();
  if (!call.begun) {
    begin(calls, call, options);
    calls.arguments(call.early ?? '{}');
  }
  calls.end();
}

function* readCallMembers(
  source: PieceReader,
  calls: CallWriter,
  options: JsonCallOptions,
  call: CallState,
  outer: boolean,
): Reading {
  yield* source.expect('{');
  yield* source.blanks();
  if ((yield* source.option(['}'])) !== null) return;
  for (;;) {
    const key = JSON.parse(yield* readString(source)) as string;
    yield* source.blanks();
    yield* source.expect(':');
    yield* source.blanks();
    const first = yield* source.peek();
    if (first === '"' && (names.has(key) || key === 'function')) {
      call.name = JSON.parse(yield* readString(source)) as string;
      if (call.name === '' || options.known?.has(call.name) === false) throw new Broken();
    } else if (parameters.has(key)) {
      yield* readArguments(source, calls, options, call);
    } else if (key === 'function' && first === '{' && outer) {
      yield* readCallMembers(source, calls, options, call, false);
    } else {
      const value = yield* readJsonText(source);
      if (ids.has(key) && first === '"') call.id = JSON.parse(value) as string;
      else if (!ids.has(key) && key !== 'type' && options.known != null) throw new Broken();
    }
    yield* source.blanks();
    if ((yield* source.option([','])) === null) break;
    yield* source.blanks();
  }
  yield* source.expect('}');
}

/** Arguments are an object, or an object within a string; without a name they wait for it. */
function* readArguments(source: PieceReader, calls: CallWriter, options: JsonCallOptions, call: CallState): Reading {
  if (call.begun || call.early !== null) throw new Broken();
  if ((yield* source.peek()) === '{' && call.name !== null) {
    begin(calls, call, options);
    yield* readJson(source, (text) => calls.arguments(text));
    return;
  }
  const json = yield* readJsonText(source);
  call.early = json === 'null' ? '{}' : json.startsWith('"') ? unwrapped(json) : json;
}

function unwrapped(json: string): string {
  const text = (JSON.parse(json) as string).trim();
  if (text === '') return '{}';
  return text.startsWith('{') ? (asJson(text) ?? json) : json;
}

function begin(calls: CallWriter, call: CallState, { keepIds = false }: JsonCallOptions): void {
  calls.begin(call.name as string, keepIds && call.id !== '' ? call.id : null);
  call.begun = true;
}

function* readString(source: PieceReader): Reading<string> {
  if ((yield* source.peek()) !== '"') throw new Broken();
  return yield* readJsonText(source);
}
