import type { StatusJson } from './cluster-json.ts';
import { statusText } from './status-text.ts';

const [HOME, END_OF_LINE, END_OF_SCREEN] = ['\u001b[H', '\u001b[K', '\u001b[J'];

/**
 * What fills a terminal with a status from its top, over what was there before: no line is cleared before it is written, so
 * nothing flickers. What does not fit is left out and counted. `problem`: why the status is not of now; empty when it is.
 */
export function screen(
  status: StatusJson,
  problem: string,
  terminal: { readonly columns?: number; readonly rows?: number },
): string {
  // Some terminals say 0.
  const [columns, rows] = [terminal.columns || 80, terminal.rows || 24];
  const lines = [...(problem === '' ? [] : [problem, '']), ...statusText(status, columns).trimEnd().split('\n')];
  const room = rows - 1; // The cursor stands on the last one.
  const more = `… ${lines.length - room + 1} more lines`;
  const shown = lines.length > room ? [...lines.slice(0, room - 1), more] : lines;
  return `${HOME}${shown.map((line) => `${line}${END_OF_LINE}\n`).join('')}${END_OF_SCREEN}`;
}
