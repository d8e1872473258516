/** Plan, rollout and what operators asked for. */
import type { Frame } from '../../frame.ts';
import { byId, find, make, setNotice, setText, showRows } from '../elements/element.ts';
import { bytes, percent } from '../elements/figures.ts';

const phaseTones: Readonly<Record<string, string>> = { complete: 'good', loading: 'warning', rolled_back: 'bad' };
const stateTones: Readonly<Record<string, string>> = { in_force: 'good', rolling_out: 'warning', pending: 'warning' };

export function showPlan({ plan, rollout, requests, leader, bus }: Frame): void {
  byId('plan-card').hidden = plan === null;
  if (plan === null || rollout === null) return;
  const size = `${plan.slots} expert slots in ${plan.pipelines} pipeline${plan.pipelines === 1 ? '' : 's'}`;
  setText(
    byId('plan'),
    plan.epoch === 0 ? 'There is no plan yet.' : `Plan ${plan.epoch}: ${size}. ${sentence(plan.reason ?? '')}`,
  );
  const phase = byId('phase');
  setText(phase, rollout.phase.replace('_', ' '));
  phase.className = `badge ${phaseTones[rollout.phase] ?? ''}`;
  const loading = rollout.phase === 'loading' && rollout.totalBytes > 0;
  const progress = find('progress', HTMLProgressElement);
  progress.hidden = !loading;
  const share = loading ? rollout.loadedBytes / rollout.totalBytes : 0;
  progress.value = share;
  const by = leader === '' ? 'no controller leads' : `led by ${leader}`;
  setText(
    byId('progress-text'),
    loading
      ? `plan ${rollout.epoch}: ${bytes(rollout.loadedBytes)} of ${bytes(rollout.totalBytes)} (${percent(share)}), ${by}`
      : `${by}${bus === 'connected' ? '' : ', the bus is away'}`,
  );
  setNotice(byId('plan-error'), rollout.error);
  showRows(byId('requests'), {
    items: requests.filter(({ by: asker, state }) => asker !== null || state !== 'in_force'),
    keyOf: ({ what, at }) => `${what} ${at}`,
    create: () => make('li', {}, make('span'), make('span')),
    update: (row, { what, state, reason, by: asker, at }) => {
      const [badge, text] = row.children;
      if (badge === undefined || text === undefined) return;
      badge.className = `badge ${stateTones[state] ?? ''}`;
      setText(badge, state.replace('_', ' '));
      const who = asker === null ? '' : `, by ${asker}${at === null ? '' : ` at ${new Date(at).toLocaleString()}`}`;
      setText(text, `${what}${who}${reason ? `: ${reason}` : ''}`);
    },
  });
}

function sentence(text: string): string {
  return text === '' ? '' : `${text.charAt(0).toUpperCase()}${text.slice(1)}.`;
}
