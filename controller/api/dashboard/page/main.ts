/** The dashboard: frames come in, cards are shown, changes go out. */
import type { Frame } from '../frame.ts';
import { showEvents } from './cards/events.ts';
import { ExpertsCard } from './cards/experts.ts';
import { showPlan } from './cards/plan.ts';
import { Tiles } from './cards/tiles.ts';
import { WorkersCard } from './cards/workers.ts';
import { ChangeDialog } from './dialogs/change-dialog.ts';
import { KeyDialog } from './dialogs/key-dialog.ts';
import { byId, setNotice, setText } from './elements/element.ts';
import { age } from './elements/figures.ts';
import { keyFor } from './server/keys.ts';
import { getPlacement, type Placement } from './server/requests.ts';
import { FrameStream, type Session } from './server/stream.ts';

let session: Session = { cluster: false, operates: false, obstacle: null, operatorsNeedKey: true };
let placement: Placement | null = null;
let asked = 0;
let shownAt = 0;

const keys = new KeyDialog(() => stream.restart());
const changes = new ChangeDialog((what) => {
  setNotice(byId('done'), what);
  setTimeout(() => setNotice(byId('done'), ''), 10_000);
});
const tiles = new Tiles();
const workers = new WorkersCard((worker, cancel) => changes.drain(worker, cancel, session));
const experts = new ExpertsCard({
  onScale: (layer, expert) => changes.scale({ layer, expert }, session),
  placement: placementOf,
});

const stream = new FrameStream({
  key: () => keyFor('look'),
  onSession: (next) => {
    session = next;
  },
  onFrame: show,
  onLost: (reason) => {
    const old = Date.now() - shownAt;
    const since = shownAt === 0 || old < 3_000 ? '' : `; this is ${age(old)} old`;
    setConnection('lost', `Reconnecting: ${reason}${since}`);
  },
  onKeyWanted: (reason) => {
    setConnection('waiting', 'A key is needed');
    keys.ask(reason);
  },
});

function show(frame: Frame): void {
  shownAt = Date.now();
  setConnection('live', 'Live');
  setText(byId('model'), frame.model);
  document.title = `${frame.model} – Conclave`;
  byId('main').hidden = false;
  byId('keys').hidden = !session.operatorsNeedKey && keyFor('look') === '';
  // Without keys, operators of another machine may look only.
  const operable = session.cluster && (session.operates || session.operatorsNeedKey);
  byId('scale').hidden = !operable;
  tiles.show(frame);
  showPlan(frame);
  experts.show(frame, operable);
  workers.show(frame, operable);
  showEvents(frame);
}

function setConnection(state: 'waiting' | 'live' | 'lost', text: string): void {
  const element = byId('connection');
  element.dataset['state'] = state;
  setText(element, text);
}

/** Who holds what, as soon as it is known: it is asked for once for each plan, when somebody chooses an expert. */
function placementOf(epoch: number): Placement | null {
  if (epoch === 0 || placement?.epoch === epoch) return placement;
  if (Date.now() - asked > 5_000) {
    asked = Date.now();
    getPlacement(keyFor('look')).then(
      (next) => {
        placement = next;
      },
      () => undefined, // It is asked for again.
    );
  }
  return placement;
}

byId('scale').addEventListener('click', () => changes.scale(null, session));
stream.restart();
