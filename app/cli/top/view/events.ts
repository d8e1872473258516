import { localTime } from '../../../command/local-time.ts';
import type { StatusJson } from '../../operate/cluster-json.ts';
import { wrap } from '../../operate/wrap.ts';
import { cut, printable } from './line.ts';
import { type Style, type Tone, toned } from './style.ts';
import { windowOf } from './window.ts';

const severityTones: Readonly<Record<string, Tone>> = { warning: 'warning', error: 'bad' };

/** Events, the latest first, in at most `room` lines; the whole text of the selected one, where there is one, below. */
export function eventLines(
  { events }: StatusJson,
  selected: number | null,
  columns: number,
  room: number,
  style: Style,
): readonly string[] {
  if (events.length === 0) return [toned('nothing has happened yet', 'dim', style)].slice(0, room);
  const latest = events.toReversed();
  const chosen = selected === null ? undefined : latest[selected];
  const whole =
    chosen === undefined || room < 8 ? [] : ['', ...wrap(textOf(chosen), columns, 2).split('\n').slice(0, 4)];
  const { first, end } = windowOf(latest.length, selected ?? 0, room - whole.length);
  const shown = latest.slice(first, end).map((event, i) => {
    const line = cut(textOf(event), columns);
    if (first + i === selected) return toned(line.padEnd(columns), 'selected', style);
    return toned(line, severityTones[event.severity] ?? 'plain', style);
  });
  return [...shown, ...whole];
}

function textOf({ at, code, subject, message, count }: StatusJson['events'][number]): string {
  const times = count > 1 ? ` (${count} times)` : '';
  return printable(`${localTime(at).slice(11, 19)} ${code} ${subject}: ${message}${times}`);
}
