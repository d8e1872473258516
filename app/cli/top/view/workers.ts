import { formatBytes } from '../../../../platform/process/quantities.ts';
import { age } from '../../../command/local-time.ts';
import { amount } from '../../operate/amount.ts';
import type { StatusJson } from '../../operate/cluster-json.ts';
import { deviceText } from '../../operate/status-text.ts';
import { table } from '../../operate/table.ts';
import { wrap } from '../../operate/wrap.ts';
import { cut, printable } from './line.ts';
import { type Style, type Tone, toned } from './style.ts';
import { windowOf } from './window.ts';

const stateTones: Readonly<Record<string, Tone>> = {
  ready: 'good',
  loading: 'warning',
  draining: 'warning',
  drained: 'dim',
  idle: 'dim',
  failed: 'bad',
  lost: 'bad',
  unreachable: 'bad',
};

/** The workers around the selected one, in at most `room` lines; `selected` is null where no row is. */
export function workerLines(
  { workers, at }: StatusJson,
  selected: number | null,
  columns: number,
  room: number,
  style: Style,
): readonly string[] {
  if (room < 2 || workers.length === 0) return [toned('no worker has joined', 'dim', style)].slice(0, room);
  const [heading = '', ...rows] = table(
    ['WORKER', 'STATE', 'SLOTS', 'ROWS/S', 'DISPATCH', 'KV', 'WEIGHTS', 'UP', 'DEVICE', 'ROLES', 'NODE'],
    workers.map((worker) => [
      worker.id,
      worker.cordoned ? `${worker.state},cordoned` : worker.state,
      worker.slots === worker.slotsWanted ? String(worker.slots) : `${worker.slots}/${worker.slotsWanted}`,
      amount(worker.rowsPerSecond),
      worker.activity?.dispatchMs ? `${amount(worker.activity.dispatchMs)} ms` : '',
      typeof worker.activity?.kvCacheUsageRatio === 'number'
        ? `${Math.round(100 * worker.activity.kvCacheUsageRatio)} %`
        : '',
      formatBytes(worker.weightBytes),
      worker.startedAt === null ? '' : age(Date.parse(at) - Date.parse(worker.startedAt)),
      printable(deviceText(worker)),
      worker.roles.join(','),
      printable(worker.node),
    ]),
    {
      right: ['SLOTS', 'ROWS/S', 'DISPATCH', 'KV', 'WEIGHTS', 'UP'],
      width: columns,
      dispensable: ['NODE', 'ROLES', 'DEVICE', 'WEIGHTS', 'UP', 'DISPATCH', 'KV'],
    },
  ).split('\n');
  const error = selected === null ? '' : (workers[selected]?.error ?? '');
  const why = error === '' ? [] : wrap(printable(`${workers[selected ?? 0]?.id}: ${error}`), columns, 2).split('\n');
  const below = why.slice(0, Math.max(0, Math.min(3, room - 3)));
  const { first, end } = windowOf(rows.length, selected ?? 0, room - 1 - below.length);
  const shown = rows.slice(first, end).map((row, i) => {
    const { state = '' } = workers[first + i] ?? {};
    if (first + i === selected) return toned(cut(row, columns).padEnd(columns), 'selected', style);
    return cut(row, columns).replace(` ${state}`, ` ${toned(state, stateTones[state] ?? 'plain', style)}`);
  });
  return [
    toned(cut(`${heading}${end < rows.length ? `  (${rows.length} workers)` : ''}`, columns), 'dim', style),
    ...shown,
    ...below.map((line) => toned(cut(line, columns), 'bad', style)),
  ];
}
