import { Release } from './release.ts';

const settleMs = 300_000;
/** A stage worker that nobody can stand in for waits so long before it goes; autoscalers can ask the controllers. */
export const sharedValues = ['--set', 'workers.drainTimeoutSeconds=15,externalMetrics.enabled=true'];

/** The release that most tests share, else as the chart makes it by default: installed by the first that asks for it. */
export async function sharedRelease(): Promise<Release> {
  const release = new Release('conclave');
  if (!(await release.is(...sharedValues))) await release.apply(...sharedValues);
  await release.settled(settleMs);
  return release;
}
