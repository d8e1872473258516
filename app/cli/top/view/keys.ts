import { type TopState, type View, views } from './state.ts';

/** What keys mean, by the bytes that terminals send for them. */
const names: Readonly<Record<string, string>> = {
  '\u0003': 'quit',
  '\u001b[A': 'up',
  '\u001bOA': 'up',
  '\u001b[B': 'down',
  '\u001bOB': 'down',
  '\u001b[C': 'right',
  '\u001bOC': 'right',
  '\u001b[D': 'left',
  '\u001bOD': 'left',
  '\u001b[5~': 'page up',
  '\u001b[6~': 'page down',
  '\u001b[H': 'home',
  '\u001b[1~': 'home',
  '\u001b[F': 'end',
  '\u001b[4~': 'end',
  '\u001b[Z': 'back',
  '\u001b': 'escape',
  '\t': 'tab',
  '\u001a': 'suspend',
  '\u000c': 'redraw',
  q: 'quit',
  Q: 'quit',
  k: 'up',
  j: 'down',
  h: 'left',
  l: 'right',
  g: 'home',
  G: 'end',
  '?': 'help',
};

const KEY = /\u001b\[[\d;]*[A-Za-z~]|\u001bO[A-Z]|[^]/gu;

/** The keys of what a terminal sent: names of the table above, digits as they are; what means nothing is left out. */
export function keysOf(input: string): readonly string[] {
  return [...input.matchAll(KEY)].flatMap(([bytes]) => names[bytes] ?? (/^[1-4]$/.test(bytes) ? bytes : []));
}

/** Rows that a page has, for the keys that turn one. */
const PAGE = 10;

/** What the state is after a key; quitting, suspending and drawing again are not of the state. */
export function afterKey(state: TopState, key: string): TopState {
  if (key === 'help') return { ...state, help: !state.help };
  if (state.help) return { ...state, help: false };
  const digit = views[Number(key) - 1];
  if (digit !== undefined) return show(state, digit);
  switch (key) {
    case 'tab':
      return turn(state, 1);
    case 'back':
      return turn(state, -1);
    case 'escape':
      return show(state, 'overview');
    case 'up':
      return moved(state, state.row - 1);
    case 'down':
      return moved(state, state.row + 1);
    case 'page up':
      return moved(state, state.row - PAGE);
    case 'page down':
      return moved(state, state.row + PAGE);
    case 'home':
      return moved(state, 0);
    case 'end':
      return moved(state, Number.POSITIVE_INFINITY);
    case 'left':
      return state.view === 'experts' ? aside(state, -1) : turn(state, -1);
    case 'right':
      return state.view === 'experts' ? aside(state, 1) : turn(state, 1);
    default:
      return state;
  }
}

function show(state: TopState, view: View): TopState {
  return view === state.view ? state : { ...state, view, row: 0, column: 0 };
}

function turn(state: TopState, by: number): TopState {
  const place = (views.indexOf(state.view) + by + views.length) % views.length;
  return show(state, views[place] ?? 'overview');
}

function moved(state: TopState, row: number): TopState {
  const { workers, load, events } = state.status;
  const rows = { overview: workers, workers, experts: load, events }[state.view].length;
  return { ...state, row: Math.max(0, Math.min(row, rows - 1)) };
}

function aside(state: TopState, by: number): TopState {
  const experts = state.status.load[state.row]?.expertRows.length ?? 0;
  return { ...state, column: Math.max(0, Math.min(state.column + by, experts - 1)) };
}
