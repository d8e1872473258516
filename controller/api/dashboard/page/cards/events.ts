/** What happened, the latest first. */
import type { Frame } from '../../frame.ts';
import { byId, make, setText, showRows } from '../elements/element.ts';

type ClusterEvent = Frame['events'][number];

const tones: Readonly<Record<string, string>> = { warning: 'warning', error: 'bad' };

export function showEvents({ events, failures }: Frame): void {
  const survived = Object.entries(failures).map(([code, count]) => `${code} ${count}`);
  setText(byId('failures'), survived.length === 0 ? '' : `failures survived: ${survived.join(', ')}`);
  byId('events-empty').hidden = events.length > 0;
  showRows(byId('events'), {
    items: events.toReversed(),
    keyOf: ({ at, code, subject, message }) => `${at} ${code} ${subject} ${message}`,
    create,
    update: (row, { count }) => setText(row.querySelector('.count') as Element, count > 1 ? ` (${count} times)` : ''),
  });
}

function create({ at, severity, code, subject, message }: ClusterEvent): HTMLLIElement {
  const moment = new Date(at);
  const time = make(
    'time',
    { dateTime: moment.toISOString(), title: moment.toLocaleString() },
    moment.toLocaleTimeString([], { hourCycle: 'h23' }),
  );
  const badge = make('span', { className: `badge ${tones[severity ?? ''] ?? ''}` }, severity ?? '');
  const text = make(
    'p',
    {},
    make('b', {}, code ?? ''),
    ` ${subject}: ${message}`,
    make('span', { className: 'count' }),
  );
  return make('li', {}, time, make('span', {}, badge), text);
}
