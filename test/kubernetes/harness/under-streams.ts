import type { Release } from './release.ts';
import { type Harm, Streams } from './streams.ts';

const clients = 16;

/** What 16 clients must see of anything that is done to a release: no failed request, no other token. */
export const nothing: Harm = { failures: [], changed: [] };

/** What 16 clients that stream from a release see of a change. */
export async function underStreams(release: Release, change: (streams: Streams) => Promise<void>): Promise<Harm> {
  const streams = await Streams.start(await release.endpoint(), clients);
  try {
    await streams.more(clients);
    await change(streams);
    await streams.more(2 * clients);
  } catch (error) {
    // What the clients saw often says why.
    throw new Error(JSON.stringify(await streams.stop()), { cause: error });
  }
  return streams.stop();
}
