/** Calls as markup: an element for each call, and within it one for each argument. */
import { Broken, type PieceReader, type Reading } from '../reading/piece-reader.ts';
import type { CallWriter } from './call-writer.ts';
import type { ToolSchemas } from './tool-schemas.ts';
import { WrittenArguments } from './written-arguments.ts';

export interface Markup {
  /** Around all calls. */
  readonly section: readonly [begin: string, end: string];
  /** What a call begins with, up to its name, and its end. */
  readonly call: readonly [begin: string, end: string];
  readonly parameter: readonly [begin: string, end: string];
  /** Whether names stand in quotes, with further attributes behind them. */
  readonly quoted: boolean;
  /** Whether values stand on lines of their own. */
  readonly valuesOnLines: boolean;
}

/** Reads the calls behind the begin of a section, or, where that was forgotten, behind that of a call. */
export function* readMarkupCalls(
  source: PieceReader,
  calls: CallWriter,
  mark: string,
  tools: ToolSchemas,
  markup: Markup,
): Reading {
  const { section, call } = markup;
  if (mark === call[0]) yield* readCall(source, calls, tools, markup);
  for (;;) {
    yield* source.blanks();
    const next = yield* source.option([call[0], section[1]]);
    if (next !== call[0]) return;
    yield* readCall(source, calls, tools, markup);
  }
}

function* readCall(source: PieceReader, calls: CallWriter, tools: ToolSchemas, markup: Markup): Reading {
  const { call, section, parameter } = markup;
  const [name] = yield* readName(source, markup);
  calls.begin(name);
  const written = new WrittenArguments(calls, markup.valuesOnLines);
  for (;;) {
    yield* source.blanks();
    const next = yield* source.option([parameter[0], call[1]]);
    if (next === null) {
      // The end of a call that is its section's last is forgotten now and then.
      if (!(yield* source.follows([section[1]])) || source.ahead === '') throw new Broken();
    }
    if (next !== parameter[0]) break;
    yield* readParameter(source, written, name, tools, markup);
  }
  written.end();
}

function* readParameter(
  source: PieceReader,
  written: WrittenArguments,
  tool: string,
  tools: ToolSchemas,
  markup: Markup,
): Reading {
  const { call, parameter, section } = markup;
  const [name, attributes] = yield* readName(source, markup);
  const behind = [parameter[0], call[1], section[1]];
  if (attributes.includes('string="false"')) {
    let value = '';
    yield* readValue(source, parameter[1], behind, (text) => {
      value += text;
    });
    written.member(name, value);
    return;
  }
  written.beginValue(name, attributes.includes('string="true"') ? null : tools.typesOf(tool, name));
  yield* readValue(source, parameter[1], behind, (text) => written.add(text));
  written.endValue();
}

/** A value ends where its end tag is followed by what may stand behind a value: within texts it may be anything else. */
export function* readValue(
  source: PieceReader,
  end: string,
  behind: readonly string[],
  add: (text: string) => void,
): Reading {
  for (;;) {
    if ((yield* source.until([end], add)) === null) throw new Broken();
    if (yield* source.follows(behind)) return;
    add(end);
  }
}

/** A name up to the end of its tag, and the attributes behind it. */
function* readName(source: PieceReader, { quoted }: Markup): Reading<readonly [string, string]> {
  const text = yield* source.upTo('>');
  const [name = '', ...attributes] = quoted ? text.split('"') : [text];
  if (name.trim() === '' || name.length > 256 || /[<\n]/.test(name)) throw new Broken();
  return [name.trim(), attributes.join('"')];
}
