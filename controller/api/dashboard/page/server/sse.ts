/** One server-sent event. */
export interface ServerEvent {
  readonly name: string;
  readonly data: string;
}

/** Takes server-sent events apart, however the network cut them. */
export class EventParser {
  #rest = '';

  /** The events that `text` completes. */
  push(text: string): readonly ServerEvent[] {
    const blocks = (this.#rest + text).split('\n\n');
    this.#rest = blocks.pop() ?? '';
    return blocks.map((block) => {
      const lines = block.split('\n');
      const of = (field: string): string =>
        lines.flatMap((line) => (line.startsWith(`${field}: `) ? line.slice(field.length + 2) : [])).join('\n');
      return { name: of('event') || 'message', data: of('data') };
    });
  }
}
