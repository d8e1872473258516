import { Release } from './release.ts';

const settleMs = 180_000;
/** A stage worker that nobody can stand in for waits so long before it goes. */
const values = ['--set', 'workers.drainTimeoutSeconds=15'];

/** The release that most tests share, as the chart makes it by default: installed by the first that asks for it. */
export async function sharedRelease(): Promise<Release> {
  const release = new Release('conclave');
  if (!(await release.is(...values))) await release.apply(...values);
  await release.settled(settleMs);
  return release;
}
