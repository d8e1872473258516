/** The table of workers, with what an operator may do with each. */
import type { Frame } from '../../frame.ts';
import { byId, find, make, setNotice, setText, showRows } from '../elements/element.ts';
import { age, amount, bytes, milliseconds, percent } from '../elements/figures.ts';

type Worker = Frame['workers'][number];

const tones: Readonly<Record<string, string>> = {
  ready: 'good',
  loading: 'warning',
  draining: 'warning',
  failed: 'bad',
  lost: 'bad',
  unreachable: 'bad',
};

/** Cells between state and button, with their headings on narrow screens. */
const cells: readonly (readonly [string, (worker: Worker, now: number) => string])[] = [
  ['Slots', ({ slots, slotsWanted }) => (slots === slotsWanted ? String(slots) : `${slots} of ${slotsWanted}`)],
  ['Weights', ({ weightBytes }) => (weightBytes === 0 ? '' : bytes(weightBytes))],
  ['Rows/s', ({ rowsPerSecond }) => amount(rowsPerSecond)],
  ['Dispatch', ({ dispatchMs }) => (dispatchMs === null ? '' : milliseconds(dispatchMs))],
  ['KV', ({ kvCacheUsageRatio }) => (kvCacheUsageRatio === null ? '' : percent(kvCacheUsageRatio))],
  ['Up', ({ startedAt }, now) => (startedAt === null ? '' : age(now - startedAt))],
  ['Device', ({ device }) => device],
  ['Node', ({ node }) => node],
];

export class WorkersCard {
  readonly #rows = find('workers', HTMLTableElement).tBodies[0] as HTMLTableSectionElement;

  /** `onDrain` is called for the worker that is to be drained, or whose drain is to be undone. */
  constructor(onDrain: (workerId: string, cancel: boolean) => void) {
    this.#rows.addEventListener('click', ({ target }) => {
      const button = target instanceof Element ? target.closest('button') : null;
      const worker = button?.closest('tr')?.dataset['key'];
      if (button && worker !== undefined) onDrain(worker, button.dataset['cancel'] === 'true');
    });
  }

  /** `operable`: workers can be drained. */
  show({ workers, requests, at }: Frame, operable: boolean): void {
    const draining = new Set(requests.flatMap(({ kind, worker }) => (kind === 'drain' ? worker : [])));
    const ready = workers.filter(({ state }) => state === 'ready').length;
    setText(byId('workers-count'), `${ready} of ${workers.length} ready`);
    byId('workers').hidden = workers.length === 0;
    byId('workers-empty').hidden = workers.length > 0;
    showRows(this.#rows, {
      items: workers.toSorted((a, b) => urgency(b) - urgency(a) || a.id.localeCompare(b.id, 'en', { numeric: true })),
      keyOf: ({ id }) => id,
      create: createRow,
      update: (row, worker) => {
        updateRow(row, worker, at);
        showButton(row, worker, operable, draining.has(worker.id));
      },
    });
  }
}

/** What needs somebody's eye comes first. */
function urgency({ state }: Worker): number {
  return { bad: 2, warning: 1 }[tones[state] ?? ''] ?? 0;
}

function createRow({ id }: Worker): HTMLTableRowElement {
  const name = make(
    'th',
    { scope: 'row' },
    id,
    make('span', { className: 'roles' }),
    make('span', { className: 'problem' }),
  );
  const row = make('tr', {}, name, labelled('State', make('span')));
  for (const [label] of cells) {
    const cell = labelled(label);
    if (label !== 'Node' && label !== 'Device') cell.className = 'number';
    row.append(cell);
  }
  row.append(make('td'));
  return row;
}

function labelled(label: string, ...children: readonly Node[]): HTMLTableCellElement {
  const cell = make('td', {}, ...children);
  cell.dataset['label'] = label;
  return cell;
}

function updateRow(row: HTMLTableRowElement, worker: Worker, at: number): void {
  const { state, cordoned, error, roles, missingSince } = worker;
  const [roleText, problem, badge] = row.querySelectorAll<HTMLElement>('.roles, .problem, td:nth-child(2) > span');
  if (roleText === undefined || problem === undefined || badge === undefined) return;
  setText(roleText, roles.join(', '));
  const since = missingSince === null ? '' : `for ${age(at - missingSince)}: `;
  setNotice(problem, error === '' ? '' : since + error);
  setText(badge, cordoned ? `${state}, cordoned` : state);
  badge.className = `badge ${tones[state] ?? ''}`;
  for (const [i, [, read]] of cells.entries()) setText(row.cells[i + 2] as Element, read(worker, at));
}

function showButton(row: HTMLTableRowElement, { id, state }: Worker, operable: boolean, draining: boolean): void {
  const cell = row.cells[cells.length + 2] as HTMLTableCellElement;
  const drains = draining || ['ready', 'loading', 'idle', 'failed', 'unreachable'].includes(state);
  if (!operable || !drains) return cell.replaceChildren();
  const button = cell.querySelector('button') ?? cell.appendChild(make('button', { type: 'button' }));
  button.dataset['cancel'] = String(draining);
  setText(button, draining ? 'Undo drain…' : 'Drain…');
  button.setAttribute('aria-label', `${draining ? 'Undo the drain of' : 'Drain'} ${id}`);
}
