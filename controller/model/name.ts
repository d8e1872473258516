import { basename } from 'node:path';

/** A snapshot in Hugging Face's cache: models--ORGANISATION--NAME/snapshots/COMMIT. */
const snapshot = /(?:^|[\\/])models--([^\\/]+)[\\/]snapshots[\\/][^\\/]+$/;

/** What the checkpoint in a folder, given by its absolute path, is called. */
export function nameOf(folder: string): string {
  const repository = snapshot.exec(folder)?.[1];
  return repository === undefined ? basename(folder) : repository.replaceAll('--', '/');
}
