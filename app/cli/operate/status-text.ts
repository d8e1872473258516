import { formatBytes } from '../../../platform/process/quantities.ts';
import { age, localTime } from '../../command/local-time.ts';
import { amount, milliseconds } from './amount.ts';
import type { StatusJson } from './cluster-json.ts';
import { table } from './table.ts';
import { wrap } from './wrap.ts';

/** Layers shown; the most imbalanced ones. */
const LAYERS = 5;
const EVENTS = 8;
/** Requests shown; all of them are in `conclave replicas`. */
const REQUESTS = 10;
/** Where what a heading names begins. */
const INDENT = 9;

type Request = StatusJson['requests'][number];

/** A cluster's status for people, in lines of at most `width` characters where that is possible. */
export function statusText(status: StatusJson, width = Number.POSITIVE_INFINITY): string {
  const sections = [
    headText(status, width),
    requestsText(status.requests.filter(isNews), width, REQUESTS),
    workersText(status, width),
    loadText(status),
    failuresText(status, width),
    status.events
      .slice(-EVENTS)
      .map((event) => wrap(eventText(event), width, 4))
      .join('\n'),
  ];
  return `${sections.filter((section) => section !== '').join('\n\n')}\n`;
}

/** A cluster's status in one line, for logs. */
export function statusLine(status: StatusJson): string {
  const ready = status.workers.filter(({ state }) => state === 'ready').length;
  const pending = status.requests.filter(({ state }) => state === 'pending').length;
  const parts = [
    `plan ${status.plan.epoch} ${phaseText(status)}`,
    `${ready} of ${status.workers.length} workers ready`,
    trafficText(status),
    ...(pending === 0 ? [] : [`${pending} pending`]),
  ];
  return `${localTime(status.at)}  ${parts.join(', ')}\n`;
}

/** What is asked for beside what there is, one paragraph each. */
export function requestsText(requests: readonly Request[], width: number, most = Number.POSITIVE_INFINITY): string {
  const shown = requests.slice(0, most).map((request) => requestText(request, width));
  const more = requests.length > most ? [`and ${requests.length - most} more: see "conclave replicas"`] : [];
  return [...shown, ...more].join('\n');
}

/** One line: "2026-11-30 12:04:05+01:00  warning PEER_LOST worker/w2: the message". */
export function eventText({ at, severity, code, subject, message, count }: StatusJson['events'][number]): string {
  const times = count > 1 ? ` (${count} times)` : '';
  return `${localTime(at)}  ${severity === 'info' ? '' : `${severity} `}${code} ${subject}: ${message}${times}`;
}

function headText(status: StatusJson, width: number): string {
  const { plan, rollout } = status;
  const lines = [
    `model    ${status.model}`,
    plan.epoch === 0
      ? 'plan     none yet'
      : `plan     ${plan.epoch}: ${plan.slots} expert slots, ${count(plan.pipelines, 'pipeline')} (${plan.reason})`,
    `rollout  ${phaseText(status)}`,
    ...(rollout.error === '' ? [] : [`${' '.repeat(INDENT)}${rollout.error}`]),
    `traffic  ${trafficText(status)}`,
    ...balanceText(status),
    ...(status.latency === null ? [] : [`latency  ${latencyText(status.latency)}`]),
    `leader   ${status.leader || 'none'}`,
    `bus      ${status.bus}`,
  ];
  return lines.map((line) => wrap(line, width, INDENT)).join('\n');
}

function phaseText({ rollout }: StatusJson): string {
  const loaded = rollout.phase === 'loading' && rollout.totalBytes > 0 ? `, ${progress(rollout)}` : '';
  return `${rollout.phase.replace('_', ' ')}${rollout.phase === 'loading' ? ` plan ${rollout.epoch}` : ''}${loaded}`;
}

function trafficText({ tokensPerSecond, running, waiting }: StatusJson): string {
  return `${amount(tokensPerSecond)} tokens/s, ${running} running, ${waiting} waiting`;
}

/** How even the load is, and what was moved for it last. */
function balanceText({ rebalance }: StatusJson): readonly string[] {
  if (rebalance === null || rebalance.imbalance === 0) return [];
  const { mode, imbalance, last } = rebalance;
  const moved = last === null ? '' : `; ${localTime(last.at)}: plan ${last.epoch} ${last.reason}`;
  return [`balance  busiest worker over mean ${imbalance.toFixed(2)}, rebalance ${mode}${moved}`];
}

/** "first token 41 ms (p99 120 ms), between tokens 9.3 ms (p99 30 ms)", of the last minute. */
export function latencyText(latency: NonNullable<StatusJson['latency']>): string {
  const times = [
    ['first token', latency.timeToFirstToken],
    ['between tokens', latency.interToken],
    ['in queue', latency.queueTime],
  ] as const;
  return times
    .flatMap(([name, of]) => (of === null ? [] : [`${name} ${milliseconds(of.p50Ms)} (p99 ${milliseconds(of.p99Ms)})`]))
    .join(', ');
}

/** Flags that are in force are no news. */
function isNews({ by, state }: Request): boolean {
  return by !== null || state !== 'in_force';
}

function requestText({ what, state, reason, by, at, ...rest }: Request, width: number): string {
  const mark = state.replace('_', ' ').padEnd(13);
  const there =
    rest.wanted === undefined || state === 'in_force' ? '' : `; there ${counted(rest.actualLeast, rest.actualMost)}`;
  const first = `${mark}${what}${there}`;
  const who = by === null ? '' : `by ${by}, ${at === null ? '' : localTime(at)}`;
  const below = ' '.repeat(mark.length);
  const together = who === '' || first.length + 2 + who.length <= width;
  const lines = [
    ...(together ? [`${first}${who === '' ? '' : `, ${who}`}`] : [first, `${below}${who}`]),
    ...(reason === '' ? [] : [`${below}${reason}`]),
  ];
  return lines.map((line) => wrap(line, width, mark.length)).join('\n');
}

function workersText(status: StatusJson, width: number): string {
  const { workers } = status;
  if (workers.length === 0) return 'no worker has joined';
  const rows = workers.map((worker) => [
    worker.id,
    worker.cordoned ? `${worker.state},cordoned` : worker.state,
    worker.slots === worker.slotsWanted ? String(worker.slots) : `${worker.slots}/${worker.slotsWanted}`,
    worker.memoryBytes === 0
      ? formatBytes(worker.weightBytes)
      : `${formatBytes(worker.weightBytes)} of ${formatBytes(worker.memoryBytes)}`,
    amount(worker.rowsPerSecond),
    worker.activity?.dispatchMs ? `${amount(worker.activity.dispatchMs)} ms` : '',
    typeof worker.activity?.kvCacheUsageRatio === 'number'
      ? `${Math.round(100 * worker.activity.kvCacheUsageRatio)} %`
      : '',
    worker.startedAt === null ? '' : age(Date.parse(status.at) - Date.parse(worker.startedAt)),
    deviceText(worker),
    worker.roles.join(','),
    worker.node,
    worker.pid === 0 ? '' : String(worker.pid),
    worker.address,
  ]);
  const shown = table(
    [
      'WORKER',
      'STATE',
      'SLOTS',
      'WEIGHTS',
      'ROWS/S',
      'DISPATCH',
      'KV',
      'UP',
      'DEVICE',
      'ROLES',
      'NODE',
      'PID',
      'ADDRESS',
    ],
    rows,
    {
      right: ['SLOTS', 'ROWS/S', 'DISPATCH', 'KV', 'UP', 'PID'],
      width,
      dispensable: ['PID', 'ADDRESS', 'NODE', 'ROLES', 'DEVICE', 'DISPATCH', 'KV', 'WEIGHTS', 'UP'],
    },
  );
  const errors = workers.flatMap(({ id, error, missingSince }) => {
    const since = missingSince === null ? '' : `since ${localTime(missingSince)}: `;
    return error === '' ? [] : [wrap(`${id}: ${since}${error}`, width, 4)];
  });
  return [shown, ...errors].join('\n');
}

/** Such as "cuda:0 NVIDIA H200". */
export function deviceText({ device, gpu }: Pick<StatusJson['workers'][number], 'device' | 'gpu'>): string {
  return gpu === null ? device : `${device} ${gpu.name}`;
}

function loadText(status: StatusJson): string {
  const busiest = status.load.toSorted((a, b) => b.imbalance - a.imbalance).slice(0, LAYERS);
  if (busiest.length === 0) return '';
  const rows = busiest.map(({ layer, imbalance, expertRows }) => [
    String(layer),
    imbalance.toFixed(2),
    expertRows.reduce((sum, value) => sum + value, 0).toFixed(0),
    hottest(expertRows),
  ]);
  return table(['LAYER', 'MAX/MEAN', 'ROWS/S', 'BUSIEST EXPERTS'], rows, { right: ['LAYER', 'MAX/MEAN', 'ROWS/S'] });
}

function failuresText({ failures }: StatusJson, width: number): string {
  const counts = Object.entries(failures).map(([code, times]) => `${code} ${times}`);
  return counts.length === 0 ? '' : wrap(`failures survived  ${counts.join(', ')}`, width, 4);
}

function hottest(expertRows: readonly number[]): string {
  return [...expertRows.entries()]
    .sort(([, a], [, b]) => b - a)
    .slice(0, 3)
    .filter(([, rows]) => rows > 0)
    .map(([expert, rows]) => `${expert} (${rows.toFixed(1)})`)
    .join(', ');
}

function progress({ loadedBytes, totalBytes }: StatusJson['rollout']): string {
  const percent = Math.floor((100 * loadedBytes) / totalBytes);
  return `${formatBytes(loadedBytes)} of ${formatBytes(totalBytes)} (${percent} %)`;
}

function counted(least: number, most: number): string {
  if (least !== most) return `are ${least} to ${most}`;
  return least === 1 ? 'is 1' : `are ${least}`;
}

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
