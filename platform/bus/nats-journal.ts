import { DiscardPolicy, type JetStreamManager, RetentionPolicy, type StorageType } from 'nats';
import { isMessageMissing } from './nats-errors.ts';

export interface NatsJournalOptions {
  readonly subject: string;
  /** Messages kept; the oldest go first. */
  readonly kept: number;
  readonly storage: StorageType;
  readonly replicas: number;
}

/** A JetStream stream of the latest messages on a subject, which the server keeps whoever listens. */
export class NatsJournal {
  readonly #options: NatsJournalOptions;
  readonly #name: string;

  constructor(options: NatsJournalOptions) {
    this.#options = options;
    this.#name = options.subject.replaceAll('.', '-');
  }

  /** Makes the stream on the server where it is not there. */
  async ensure(manager: JetStreamManager): Promise<void> {
    const { subject, kept, storage, replicas } = this.#options;
    await manager.streams.add({
      name: this.#name,
      subjects: [subject],
      retention: RetentionPolicy.Limits,
      discard: DiscardPolicy.Old,
      max_msgs: kept,
      storage,
      num_replicas: replicas,
    });
  }

  /** The latest messages, oldest first. */
  async recent(manager: JetStreamManager, count: number): Promise<readonly Uint8Array[]> {
    const { first_seq: first, last_seq: last } = (await manager.streams.info(this.#name)).state;
    const begin = Math.max(1, first, last - count + 1);
    const found = await Promise.all(
      Array.from({ length: Math.max(0, last - begin + 1) }, async (_, i) => {
        try {
          return [Uint8Array.from((await manager.streams.getMessage(this.#name, { seq: begin + i })).data)];
        } catch (error) {
          if (isMessageMissing(error)) return []; // It went while the others were read.
          throw error;
        }
      }),
    );
    return found.flat();
  }
}
