import type { Release } from './release.ts';
import { type Harm, Streams } from './streams.ts';

const clients = 16;

/** What 16 clients must see of anything that is done to a release: no failed request, no other token. */
export const nothing: Harm = { failures: [], changed: [] };

/** 16 clients that stream from a release until they are stopped. */
export class Clients {
  readonly streams: Streams;

  private constructor(streams: Streams) {
    this.streams = streams;
  }

  static async of(release: Release): Promise<Clients> {
    return new Clients(await Streams.start(await release.endpoint(), clients));
  }

  /** What they see of a change, until each has asked again after it. */
  async see(change: () => Promise<void>): Promise<Harm> {
    try {
      await this.streams.more(clients);
      await change();
      await this.streams.more(2 * clients);
    } catch (error) {
      // What the clients saw often says why.
      throw new Error(JSON.stringify(this.streams.takeHarm()), { cause: error });
    }
    return this.streams.takeHarm();
  }

  stop(): Promise<Harm> {
    return this.streams.stop();
  }
}

/** What 16 clients that stream from a release see of a change. */
export async function underStreams(release: Release, change: (streams: Streams) => Promise<void>): Promise<Harm> {
  const all = await Clients.of(release);
  try {
    return await all.see(() => change(all.streams));
  } finally {
    await all.stop();
  }
}
