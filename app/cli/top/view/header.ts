import { formatBytes, formatDuration } from '../../../../platform/process/quantities.ts';
import { localTime } from '../../../command/local-time.ts';
import { amount } from '../../operate/amount.ts';
import type { StatusJson } from '../../operate/cluster-json.ts';
import { latencyText } from '../../operate/status-text.ts';
import { printable, spread } from './line.ts';
import type { TopState } from './state.ts';
import { bar, type Style, sparkline, type Tone, toned } from './style.ts';

const PROGRESS_WIDTH = 20;

/** What matters in a few lines, the most important ones first. */
export function headerLines(state: TopState, columns: number, style: Style): readonly string[] {
  const { status, problem, ageMs, server } = state;
  const clock = localTime(status.at).slice(11, 19);
  const title = `${toned('conclave top', 'strong', style)}  ${printable(status.model)} at ${server}`;
  const shown = `${formatDuration(ageMs)} old: ${printable(problem)}`;
  return [
    spread(title, toned(clock, 'dim', style), columns),
    ...(problem === '' ? [] : [toned(`! ${shown}`, 'bad', style)]),
    trafficLine(state, columns, style),
    latencyLine(status, style),
    planLine(status, style),
    ...(status.rollout.error === '' ? [] : [toned(`  ${printable(status.rollout.error)}`, 'warning', style)]),
    balanceLine(status, style),
  ];
}

function trafficLine({ status, history }: TopState, columns: number, style: Style): string {
  const { tokensPerSecond, running, waiting } = status;
  const usages = status.workers.flatMap(({ activity }) => activity?.kvCacheUsageRatio ?? []);
  const cache = usages.length === 0 ? '' : `   KV cache ${Math.round(100 * Math.max(...usages))} %`;
  const queue = toned(`${waiting} waiting`, waiting > 0 ? 'warning' : 'plain', style);
  const text = `${toned(amount(tokensPerSecond), 'strong', style)} tokens/s   ${running} running   ${queue}${cache}   `;
  const room =
    columns - `${amount(tokensPerSecond)} tokens/s   ${running} running   ${waiting} waiting${cache}   `.length;
  return text + toned(sparkline(history, Math.min(room, 60), style), 'bar', style);
}

function latencyLine({ latency }: StatusJson, style: Style): string {
  return latency === null ? toned('no token was sent in the last minute', 'dim', style) : latencyText(latency);
}

const phaseTones: Readonly<Record<string, Tone>> = { complete: 'good', loading: 'warning', rolled_back: 'bad' };

function planLine({ plan, rollout, leader, bus }: StatusJson, style: Style): string {
  const phase = toned(rollout.phase.replace('_', ' '), phaseTones[rollout.phase] ?? 'dim', style);
  const loading = rollout.phase === 'loading' && rollout.totalBytes > 0;
  const share = rollout.loadedBytes / rollout.totalBytes;
  const progress = loading
    ? ` ${toned(bar(share, PROGRESS_WIDTH, style), 'bar', style)} ${formatBytes(rollout.loadedBytes)} of ${formatBytes(rollout.totalBytes)}`
    : '';
  const what = plan.epoch === 0 ? 'no plan' : `plan ${plan.epoch}`;
  const parts = [
    `${what} ${phase}${progress}`,
    `${plan.slots} slots, ${plan.pipelines} pipeline${plan.pipelines === 1 ? '' : 's'}`,
    leader === '' ? toned('no leader', 'bad', style) : `leader ${leader}`,
    toned(`bus ${bus}`, bus === 'connected' ? 'plain' : 'bad', style),
  ];
  return parts.join('   ');
}

function balanceLine({ load, requests, failures }: StatusJson, style: Style): string {
  const worst = load.toSorted((a, b) => b.imbalance - a.imbalance)[0];
  const mean = load.reduce((sum, { imbalance }) => sum + imbalance, 0) / Math.max(1, load.length);
  const pending = requests.filter(({ state }) => state === 'pending').length;
  const survived = Object.values(failures).reduce((sum, count) => sum + count, 0);
  const parts = [
    worst === undefined
      ? toned('no load was measured yet', 'dim', style)
      : `imbalance ${mean.toFixed(2)}, worst ${toned(worst.imbalance.toFixed(2), worst.imbalance > 1.5 ? 'warning' : 'plain', style)} in layer ${worst.layer}`,
    ...(pending === 0 ? [] : [toned(`${pending} pending`, 'warning', style)]),
    ...(survived === 0 ? [] : [`${survived} failures survived`]),
  ];
  return parts.join('   ');
}
