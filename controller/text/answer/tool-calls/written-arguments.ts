/** Writes a call's arguments member by member, for formats that do not write JSON. */
import { inside } from '../reading/python-reader.ts';
import { asJson, isText, type ValueTypes, valueToJson } from './argument-values.ts';
import type { CallWriter } from './call-writer.ts';

export class WrittenArguments {
  readonly #calls: CallWriter;
  readonly #trimLines: boolean;
  #members = 0;
  #types: ValueTypes = null;
  #value = '';
  #atStart = true;

  /** `trimLines`: values stand on lines of their own, whose ends do not belong to them. */
  constructor(calls: CallWriter, trimLines: boolean) {
    this.#calls = calls;
    this.#trimLines = trimLines;
  }

  /** Begins a member whose value comes in pieces, by `add` and `endValue`. */
  beginValue(name: string, types: ValueTypes): void {
    this.#key(name);
    this.#types = types;
    this.#value = '';
    this.#atStart = true;
    if (isText(types)) this.#calls.arguments('"');
  }

  /** Texts go on at once, but for a line end that may be the last. */
  add(text: string): void {
    this.#value += text;
    if (!isText(this.#types) || this.#value === '') return;
    if (this.#atStart && this.#trimLines && this.#value.startsWith('\n')) this.#value = this.#value.slice(1);
    this.#atStart = false;
    const kept = this.#trimLines && this.#value.endsWith('\n') ? 1 : 0;
    this.#calls.arguments(inside(this.#value.slice(0, this.#value.length - kept)));
    this.#value = this.#value.slice(this.#value.length - kept);
  }

  endValue(): void {
    if (isText(this.#types)) return this.#calls.arguments('"');
    const value = this.#trimLines ? this.#value.replace(/^\n|\n$/g, '') : this.#value;
    this.#calls.arguments(valueToJson(value, this.#types));
  }

  /** A member of which the text says itself what it is: JSON, or else a text. */
  member(name: string, text: string): void {
    this.#key(name);
    this.#calls.arguments(asJson(text.trim()) ?? JSON.stringify(text));
  }

  end(): void {
    this.#calls.arguments(this.#members === 0 ? '{}' : '}');
    this.#calls.end();
  }

  #key(name: string): void {
    this.#calls.arguments(`${this.#members++ === 0 ? '{' : ', '}${JSON.stringify(name)}: `);
  }
}
