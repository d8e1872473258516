/**
 * A model of the Hub without its weights: texts, and weight files that have their header and their size and are holes
 * otherwise. That is all that compiling a model reads, and megabytes instead of gigabytes.
 */
import { mkdir, open } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { folderDestination } from './cache/destination.ts';
import { fetchTexts, fileOf, weightPaths } from './fetch-files.ts';
import { type ModelReference, type PullContext, withHub } from './pull.ts';
import type { HubClient } from './remote/hub-client.ts';
import { fileUrl, type RemoteFile, type Repository, readRepository } from './remote/repository.ts';
import { type RetryContext, retrying } from './remote/retries.ts';

/** Bytes of a weight file that are asked for first: most headers are shorter. */
const firstBytes = 2 ** 18;
/** The format's own limit on a header, in bytes. */
const mostBytes = 100_000_000;

/** Fills an empty folder. Throws a HubError. */
export async function outlineModel(
  { model, revision }: ModelReference,
  directory: string,
  context: PullContext,
): Promise<void> {
  await withHub(context, async (client, retry) => {
    const repository = await readRepository(client, retry, model, revision);
    const destination = folderDestination(directory);
    await fetchTexts(repository, destination, { client, retry });
    for (const path of await weightPaths(repository, destination)) {
      const file = fileOf(repository, path);
      await writeOutline(join(directory, path), file.bytes, await readHeader(client, retry, repository, file));
    }
  });
}

async function writeOutline(path: string, bytes: number, start: Uint8Array): Promise<void> {
  await mkdir(dirname(path), { recursive: true });
  const file = await open(path, 'w');
  try {
    await file.write(start);
    await file.truncate(bytes);
  } finally {
    await file.close();
  }
}

/** A weight file from its start to the end of its header: a length of 8 bytes, and the header. */
async function readHeader(
  client: HubClient,
  retry: RetryContext,
  repository: Repository,
  file: RemoteFile,
): Promise<Uint8Array> {
  const read = (bytes: number) => retrying(retry, file.path, () => readStart(client, retry, repository, file, bytes));
  const start = await read(firstBytes);
  if (start.byteLength < 8) return start;
  const wanted = 8 + Number(start.readBigUInt64LE());
  if (wanted <= start.byteLength || wanted > mostBytes) return start.subarray(0, wanted);
  return read(wanted);
}

async function readStart(
  client: HubClient,
  { signal }: RetryContext,
  repository: Repository,
  file: RemoteFile,
  bytes: number,
): Promise<Buffer> {
  const response = await client.get({
    model: repository.model,
    url: fileUrl(client, repository, file),
    headers: { range: `bytes=0-${Math.min(bytes, file.bytes) - 1}` },
    signal,
  });
  const chunks: Uint8Array[] = [];
  let read = 0;
  for await (const chunk of response.body()) {
    chunks.push(chunk);
    read += chunk.byteLength;
    if (read >= bytes) break;
  }
  return Buffer.concat(chunks).subarray(0, bytes);
}
