/** Scaling and draining: what would move is shown before it does, and an admin key is asked for where one is needed. */
import { byId, find, make, setNotice, setText } from '../elements/element.ts';
import { bytes } from '../elements/figures.ts';
import { keepKey, keyFor, keyProblem } from '../server/keys.ts';
import { type ChangeAnswer, postChange, Refusal } from '../server/requests.ts';

interface Change {
  readonly title: string;
  /** On the button that carries it out. */
  readonly verb: string;
  readonly path: 'scale' | 'drain';
  readonly body: () => Record<string, unknown>;
}

/** What the server lets this page do. */
export interface Rights {
  /** With the key that it looks with. */
  readonly operates: boolean;
  readonly operatorsNeedKey: boolean;
}

export class ChangeDialog {
  readonly #dialog = find('change-dialog', HTMLDialogElement);
  readonly #adminKey = find('admin-key', HTMLInputElement);
  #change: Change | null = null;
  #rights: Rights = { operates: false, operatorsNeedKey: true };

  /** `onDone` gets what was done, in words. */
  constructor(onDone: (what: string) => void) {
    byId('change-cancel').addEventListener('click', () => this.#dialog.close());
    byId('change-look').addEventListener('click', () => this.#look());
    for (const [id, target] of [
      ['scale-hot', 'hot'],
      ['scale-layer', 'expert'],
      ['scale-expert', 'expert'],
    ] as const) {
      byId(id).addEventListener('focus', () => chooseTarget(target));
    }
    find('change-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      this.#send(false).then(
        ({ epoch }) => {
          this.#dialog.close();
          onDone(`Plan ${epoch} carries it out.`);
        },
        (error: unknown) => this.#showFailure(error),
      );
    });
  }

  /** Shows at once what a drain would move. */
  drain(worker: string, cancel: boolean, rights: Rights): void {
    byId('scale-fields').hidden = true;
    const words = cancel
      ? { title: `Undo the drain of ${worker}`, verb: 'Use it again' }
      : { title: `Drain ${worker}`, verb: 'Drain' };
    this.#open({ ...words, path: 'drain', body: () => ({ worker, cancel }) }, rights);
    this.#look();
  }

  /** `expert`: the one to begin with; null: all of them. */
  scale(expert: { readonly layer: number; readonly expert: number } | null, rights: Rights): void {
    byId('scale-fields').hidden = false;
    chooseTarget(expert === null ? 'all' : 'expert');
    if (expert !== null) {
      find('scale-layer', HTMLInputElement).valueAsNumber = expert.layer;
      find('scale-expert', HTMLInputElement).valueAsNumber = expert.expert;
    }
    this.#open({ title: 'Scale experts', verb: 'Scale', path: 'scale', body: scaleBody }, rights);
  }

  #open(change: Change, rights: Rights): void {
    this.#change = change;
    this.#rights = rights;
    setText(byId('change-title'), change.title);
    setText(byId('change-do'), change.verb);
    byId('change-preview').replaceChildren();
    setNotice(byId('change-error'), '');
    this.#showKeyField(false);
    this.#dialog.showModal();
  }

  #look(): void {
    this.#send(true).then(showPreview, (error: unknown) => this.#showFailure(error));
  }

  /** An admin key is asked for where the key of the page is none, and the page was given no other. */
  #showKeyField(refused: boolean): void {
    const needed = this.#rights.operatorsNeedKey && !this.#rights.operates;
    byId('admin-key-label').hidden = !(needed && (refused || keyFor('operate') === ''));
  }

  async #send(dryRun: boolean): Promise<ChangeAnswer> {
    if (this.#change === null) throw new Error('nothing is to be changed');
    setNotice(byId('change-error'), '');
    const { operates, operatorsNeedKey } = this.#rights;
    const typed = this.#adminKey.value.trim();
    const problem = typed === '' ? '' : keyProblem(typed);
    if (problem !== '') throw new Error(problem);
    const key = typed || keyFor(operates ? 'look' : 'operate');
    if (key === '' && operatorsNeedKey) throw new Error('Changes need an admin key.');
    setBusy(true);
    try {
      const answer = await postChange(this.#change.path, { ...this.#change.body(), dryRun }, key);
      if (typed !== '') keepKey('operate', typed);
      this.#adminKey.value = '';
      this.#showKeyField(false);
      return answer;
    } finally {
      setBusy(false);
    }
  }

  #showFailure(error: unknown): void {
    if (error instanceof Refusal && error.status === 401) {
      keepKey('operate', '');
      this.#showKeyField(true);
      this.#adminKey.focus();
    }
    const timedOut = error instanceof DOMException && error.name === 'TimeoutError';
    const message = timedOut ? 'The controller did not answer in time.' : error instanceof Error ? error.message : '';
    setNotice(byId('change-error'), message.charAt(0).toUpperCase() + message.slice(1));
  }
}

function chooseTarget(value: 'all' | 'hot' | 'expert'): void {
  const choice = document.querySelector<HTMLInputElement>(`input[name="target"][value="${value}"]`);
  if (choice !== null) choice.checked = true;
}

function scaleBody(): Record<string, unknown> {
  const number = (id: string): number => find(id, HTMLInputElement).valueAsNumber;
  const target = document.querySelector<HTMLInputElement>('input[name="target"]:checked')?.value;
  const replicas = number('scale-replicas');
  if (target === 'hot') return { replicas, hot: number('scale-hot') };
  if (target === 'expert') return { replicas, layer: number('scale-layer'), expert: number('scale-expert') };
  return { replicas };
}

function setBusy(busy: boolean): void {
  for (const id of ['change-do', 'change-look']) find(id, HTMLButtonElement).disabled = busy;
}

function showPreview({ preview }: ChangeAnswer): void {
  if (preview === null) return;
  const problems = [
    ...preview.refusals.map((refusal) => `It would be refused: ${refusal}`),
    ...preview.shortfalls.map((shortfall) => `Would not fit: ${shortfall}`),
  ].map((text) => make('p', { className: 'problem' }, text));
  const slots = (count: number, size: number): string => (count === 0 ? '' : `${count} (${bytes(size)})`);
  const moves = preview.workers.map(({ worker, loads, loadBytes, frees, freeBytes, stageChanges }) =>
    make(
      'tr',
      {},
      make(
        'th',
        { scope: 'row' },
        worker,
        make('span', { className: 'roles' }, stageChanges ? 'its stage changes' : ''),
      ),
      make('td', { className: 'number' }, slots(loads, loadBytes)),
      make('td', { className: 'number' }, slots(frees, freeBytes)),
    ),
  );
  const headings = ['Worker', 'Loads slots', 'Frees slots'].map((text) => make('th', { scope: 'col' }, text));
  for (const heading of headings.slice(1)) heading.className = 'number';
  const table = make('table', {}, make('thead', {}, make('tr', {}, ...headings)), make('tbody', {}, ...moves));
  const shown = moves.length === 0 ? make('p', {}, 'Nothing would move.') : table;
  byId('change-preview').replaceChildren(...problems, shown);
}
