/** How lines are coloured and drawn on what a terminal can do. */

export interface Style {
  /** Colours that the terminal has: none (NO_COLOR, a dumb terminal), the 16 of ANSI, or 256. */
  readonly colours: 0 | 16 | 256;
  /** Whether it shows characters beyond ASCII. */
  readonly unicode: boolean;
}

/** What the parts of a line mean. */
export type Tone = 'plain' | 'dim' | 'strong' | 'good' | 'warning' | 'bad' | 'bar' | 'selected';

const tones: Readonly<Record<Tone, string>> = {
  plain: '',
  dim: '90',
  strong: '1',
  good: '32',
  warning: '33',
  bad: '31',
  bar: '36',
  selected: '7',
};

/** Without colours, what matters is still bold or reversed. */
const plainTones: Readonly<Partial<Record<Tone, string>>> = { strong: '1', selected: '7' };

/** Text in a tone. It begins and ends without one. */
export function toned(text: string, tone: Tone, { colours }: Style): string {
  const code = colours === 0 ? plainTones[tone] : tones[tone];
  return code === undefined || code === '' || text === '' ? text : `\u001b[${code}m${text}\u001b[0m`;
}

/** Backgrounds of heat 0 to 6. */
const heat256 = ['48;5;235', '48;5;17', '48;5;19', '48;5;61', '48;5;133', '48;5;203', '48;5;221'];
const heat16 = ['', '44', '44', '46', '45', '41', '43'];
const ramps = { unicode: ['·', '▁', '▂', '▄', '▅', '▇', '█'], ascii: ['.', '-', '=', '+', 'x', 'X', '#'] };
/** Where a colour would be shared by two levels, a character tells them apart. */
const marks16 = [' ', ' ', '-', ' ', ' ', ' ', '#'];

/** One cell of a heat map, `width` characters wide. */
export function heatCell(heat: number, selected: boolean, width: number, { colours, unicode }: Style): string {
  if (colours === 0) {
    const cell = (ramps[unicode ? 'unicode' : 'ascii'][heat] ?? ' ').repeat(width);
    return selected ? `\u001b[7m${cell}\u001b[0m` : cell;
  }
  const code = (colours === 256 ? heat256 : heat16)[heat] ?? '';
  const mark = (selected ? 'X' : colours === 256 ? ' ' : (marks16[heat] ?? ' ')).repeat(width);
  return code === ''
    ? `\u001b[90m${(selected ? 'X' : '.').repeat(width)}\u001b[0m`
    : `\u001b[${code};97m${mark}\u001b[0m`;
}

/** Values as a line of bars, the greatest of them full; no more than `width`, the latest ones. */
export function sparkline(values: readonly number[], width: number, { unicode }: Style): string {
  const steps = unicode ? '▁▂▃▄▅▆▇█' : '_.-=+*#@';
  const shown = values.slice(-Math.max(0, width));
  const most = Math.max(...shown, 0);
  return shown
    .map((value) => steps[most === 0 ? 0 : Math.min(steps.length - 1, Math.floor((value / most) * steps.length))] ?? '')
    .join('');
}

/** A bar that is full by `share`, 0 to 1. */
export function bar(share: number, width: number, { unicode }: Style): string {
  const filled = Math.round(Math.max(0, Math.min(1, share)) * width);
  return (unicode ? '█' : '#').repeat(filled) + (unicode ? '░' : '.').repeat(width - filled);
}
