import type { Clock } from '../../../platform/process/clock.ts';
import type { Connection } from './connection.ts';
import { Contact } from './contact.ts';
import type { RosterEntry } from './roster.ts';
import type { Session, Sighting } from './sighting.ts';

export interface ContactsOptions {
  readonly connect: (address: string) => Connection;
  readonly clock: Clock;
  readonly onSighting: (session: Session, sighting: Sighting) => void;
}

/** A contact to every worker of a roster. */
export class Contacts {
  readonly #options: ContactsOptions;
  readonly #contacts = new Map<string, { readonly key: string; readonly contact: Contact }>();

  constructor(options: ContactsOptions) {
    this.#options = options;
  }

  /** Makes the set of contacts exactly this one. */
  follow(entries: Iterable<RosterEntry>): void {
    const { connect, clock, onSighting } = this.#options;
    const gone = new Set(this.#contacts.keys());
    for (const { worker } of entries) {
      const { id, address, startedAtMs } = worker;
      gone.delete(id);
      const key = `${startedAtMs}@${address}`;
      const before = this.#contacts.get(id);
      if (before?.key === key) continue;
      before?.contact.close();
      const session = { workerId: id, startedAtMs };
      const contact = new Contact({
        ...{ session, address, connect, clock },
        onSighting: (sighting) => onSighting(session, sighting),
      });
      this.#contacts.set(id, { key, contact });
    }
    for (const id of gone) this.#drop(id);
  }

  /** See Contact.lookNow. */
  lookNow(id: string): void {
    this.#contacts.get(id)?.contact.lookNow();
  }

  close(): void {
    for (const id of [...this.#contacts.keys()]) this.#drop(id);
  }

  #drop(id: string): void {
    this.#contacts.get(id)?.contact.close();
    this.#contacts.delete(id);
  }
}
