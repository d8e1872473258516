import { Release } from './release.ts';

const settleMs = 180_000;

/** The release that most tests share: installed by the first that asks for it, with the defaults whoever asks. */
export async function sharedRelease(): Promise<Release> {
  const release = new Release('conclave');
  await release.apply();
  await release.settled(settleMs);
  return release;
}
