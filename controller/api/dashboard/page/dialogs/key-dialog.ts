/** Asks for the key with which the page looks. */
import { byId, find, setNotice } from '../elements/element.ts';
import { keepKey, keyFor, keyProblem } from '../server/keys.ts';

export class KeyDialog {
  readonly #dialog = find('key-dialog', HTMLDialogElement);
  readonly #input = find('key', HTMLInputElement);

  /** `onKey` is called once there is another key, or none. */
  constructor(onKey: () => void) {
    byId('keys').addEventListener('click', () => this.ask(''));
    find('key-form', HTMLFormElement).addEventListener('submit', (event) => {
      event.preventDefault();
      const key = this.#input.value.trim();
      const problem = keyProblem(key);
      if (problem !== '') return setNotice(byId('key-error'), problem);
      keepKey('look', key);
      this.#input.value = '';
      this.#dialog.close();
      onKey();
    });
    byId('key-forget').addEventListener('click', () => {
      keepKey('look', '');
      keepKey('operate', '');
      this.#dialog.close();
      onKey();
    });
  }

  /** `refusal`: why the server did not take the key that it got; a first visit has none. */
  ask(refusal: string): void {
    byId('keys').hidden = false;
    setNotice(byId('key-error'), keyFor('look') === '' ? '' : refusal);
    if (!this.#dialog.open) this.#dialog.showModal();
    this.#input.focus();
  }
}
