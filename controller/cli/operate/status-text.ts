import { formatBytes } from '../../quantities.ts';
import type { StatusJson } from './cluster-json.ts';
import { table } from './table.ts';

/** Layers shown; the most imbalanced ones. */
const LAYERS = 5;
const EVENTS = 8;

/** A cluster's status for people. */
export function statusText(status: StatusJson): string {
  const { plan, rollout } = status;
  const loaded = rollout.phase === 'loading' && rollout.totalBytes > 0 ? `, ${progress(rollout)}` : '';
  const lines = [
    `model    ${status.model}`,
    plan.epoch === 0
      ? 'plan     none yet'
      : `plan     ${plan.epoch}: ${plan.slots} expert slots, ${count(plan.pipelines, 'pipeline')} (${plan.reason})`,
    `rollout  ${rollout.phase.replace('_', ' ')}${rollout.phase === 'loading' ? ` plan ${rollout.epoch}` : ''}${loaded}`,
    ...(rollout.error === '' ? [] : [`         ${rollout.error}`]),
    `leader   ${status.leader || 'none'}`,
    `bus      ${status.bus}`,
  ];
  const sections = [lines.join('\n'), workersTable(status)];
  const busiest = status.load.toSorted((a, b) => b.imbalance - a.imbalance).slice(0, LAYERS);
  if (busiest.length > 0) {
    const rows = busiest.map(({ layer, imbalance, expertRows }) => [
      String(layer),
      imbalance.toFixed(2),
      expertRows.reduce((sum, value) => sum + value, 0).toFixed(0),
      hottest(expertRows),
    ]);
    sections.push(table(['LAYER', 'MAX/MEAN', 'ROWS/S', 'BUSIEST EXPERTS'], rows, ['LAYER', 'MAX/MEAN', 'ROWS/S']));
  }
  const failures = Object.entries(status.failures);
  if (failures.length > 0) {
    sections.push(`failures survived  ${failures.map(([code, times]) => `${code} ${times}`).join(', ')}`);
  }
  const events = status.events.slice(-EVENTS).map(eventText);
  if (events.length > 0) sections.push(events.join('\n'));
  return `${sections.join('\n\n')}\n`;
}

/** One line: "12:04:05 warning PEER_LOST worker/w2: the message". */
export function eventText({ at, severity, code, subject, message, count }: StatusJson['events'][number]): string {
  const times = count > 1 ? ` (${count} times)` : '';
  return `${at.slice(11, 19)}  ${severity === 'info' ? '' : `${severity} `}${code} ${subject}: ${message}${times}`;
}

function workersTable({ workers }: StatusJson): string {
  if (workers.length === 0) return 'no worker has joined';
  const rows = workers.map((worker) => [
    worker.id,
    worker.state,
    worker.slots === worker.slotsWanted ? String(worker.slots) : `${worker.slots}/${worker.slotsWanted}`,
    worker.memoryBytes === 0
      ? formatBytes(worker.weightBytes)
      : `${formatBytes(worker.weightBytes)} of ${formatBytes(worker.memoryBytes)}`,
    worker.roles.join(','),
    worker.node,
    worker.pid === 0 ? '' : String(worker.pid),
    worker.address,
    worker.error,
  ]);
  const headings = ['WORKER', 'STATE', 'SLOTS', 'WEIGHTS', 'ROLES', 'NODE', 'PID', 'ADDRESS', 'ERROR'];
  const plain = rows.every((row) => row.at(-1) === '');
  return table(plain ? headings.slice(0, -1) : headings, plain ? rows.map((row) => row.slice(0, -1)) : rows, [
    'SLOTS',
    'PID',
  ]);
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

function count(n: number, what: string): string {
  return `${n} ${what}${n === 1 ? '' : 's'}`;
}
