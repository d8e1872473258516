/** What `conclave top` shows: a pure function of its state and of the terminal's size and abilities. */
import { eventLines } from './events.ts';
import { expertLines, heatMapLines } from './experts.ts';
import { headerLines } from './header.ts';
import { cut, spread, uncoloured } from './line.ts';
import { type TopState, views } from './state.ts';
import { type Style, toned } from './style.ts';
import { workerLines } from './workers.ts';

export interface Size {
  readonly columns: number;
  readonly rows: number;
}

/** At most `rows` lines of at most `columns` characters. */
export function render(state: TopState, { columns, rows }: Size, style: Style): readonly string[] {
  const header = headerLines(state, columns, style).slice(0, Math.max(2, rows - 8));
  const room = Math.max(0, rows - header.length - 2);
  const content = state.help ? helpLines(style) : contentLines(state, { columns, rows: room }, style);
  const body = [...header, tabs(state, style), ...content.slice(0, room)];
  const filled = [...body, ...new Array<string>(Math.max(0, rows - 1 - body.length)).fill('')];
  return [...filled.slice(0, rows - 1), footer(state, columns, style)].map((line) => cut(line, columns)).slice(-rows);
}

/** Widest that a heat map is drawn where nobody says how wide lines may be. */
const WIDEST = 120;

/** The same once, for what is no terminal: as long as it needs to be, without what only keys can do. */
export function snapshot(state: TopState, width: number): string {
  const style: Style = { colours: 0, unicode: false };
  const columns = Math.min(width, WIDEST);
  const { status } = state;
  const all = Number.MAX_SAFE_INTEGER;
  const sections = [
    headerLines(state, columns, style),
    workerLines(status, null, columns, all, style),
    heatMapLines(status, columns, 1 + status.load.length, style),
    eventLines(status, null, columns, 20, style),
  ];
  return sections
    .filter((lines) => lines.length > 0)
    .map((lines) => lines.map((line) => `${uncoloured(line).trimEnd()}\n`).join(''))
    .join('\n');
}

function contentLines(
  { status, view, row, column }: TopState,
  { columns, rows }: Size,
  style: Style,
): readonly string[] {
  switch (view) {
    case 'workers':
      return workerLines(status, row, columns, rows, style);
    case 'experts':
      return expertLines(status, { row, column }, columns, rows, style);
    case 'events':
      return eventLines(status, row, columns, rows, style);
    case 'overview': {
      const events = eventLines(status, null, columns, Math.min(4, Math.max(0, rows - 8)), style);
      const left = rows - events.length - (events.length > 0 ? 1 : 0);
      const layers = status.load.length;
      const map = layers === 0 ? 0 : Math.min(1 + layers, Math.max(3, Math.floor(left / 2)));
      const workers = workerLines(status, row, columns, Math.max(2, left - map - (map > 0 ? 1 : 0)), style);
      const heat = heatMapLines(status, columns, Math.min(1 + layers, left - workers.length - 1), style);
      return [...workers, ...(heat.length > 0 ? ['', ...heat] : []), ...(events.length > 0 ? ['', ...events] : [])];
    }
  }
}

function tabs({ view, help }: TopState, style: Style): string {
  const names = views.map((name, i) => {
    const label = ` ${i + 1} ${name} `;
    return name === view && !help ? toned(label, 'selected', style) : toned(label, 'dim', style);
  });
  return names.join(' ');
}

function footer({ view }: TopState, columns: number, style: Style): string {
  const move = view === 'experts' ? 'arrows: layer and expert' : 'up, down: move';
  return toned(spread(`q: quit   Tab or 1-4: view   ${move}`, '?: help', columns), 'dim', style);
}

function helpLines(style: Style): readonly string[] {
  const keys = [
    ['q, Ctrl-C', 'quit'],
    ['Tab, Shift-Tab, 1 to 4', 'next view, the one before, one of them'],
    ['up, down, k, j', 'move; Page Up, Page Down, Home and End too'],
    ['left, right, h, l', 'in the view of experts: another expert; elsewhere: another view'],
    ['Esc', 'back to the overview'],
    ['Ctrl-Z, Ctrl-L', 'suspend, draw again'],
  ];
  return [
    '',
    ...keys.map(([key = '', what = '']) => `  ${toned(key.padEnd(24), 'strong', style)}${what}`),
    '',
    '  Rows are rows of activations that experts are asked for; imbalance is that of the busiest',
    '  worker of a layer over the mean. Times are of the last minute, over all controllers.',
    '  Change the cluster with "conclave scale", "drain" and "cordon".',
    '',
    toned('  any key goes back', 'dim', style),
  ];
}
