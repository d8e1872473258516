import { statfs } from 'node:fs/promises';
import { formatBytes } from '../../../platform/process/quantities.ts';
import { HubError } from '../remote/hub-error.ts';

/** Throws a HubError where a folder's disk has no room for so many bytes more. */
export async function checkDiskSpace(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  const free = bavail * bsize;
  if (bytes <= free) return;
  throw new HubError(
    'HUB_NO_SPACE',
    `${directory}: ${formatBytes(bytes)} are missing, and the disk has ${formatBytes(free)} free`,
    'Make room, or choose another disk with HF_HOME.',
  );
}
