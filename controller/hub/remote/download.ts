/**
 * One file's way from the Hub to the disk. It goes on where an earlier try, of this process or another, ended; and it is whole
 * only once its size and its hash are those that the Hub lists. Bytes are written at their own position and nothing is cut off,
 * so that two processes that write the same file by mistake write the same.
 */
import { createHash, type Hash } from 'node:crypto';
import { constants } from 'node:fs';
import { type FileHandle, open, rm } from 'node:fs/promises';
import type { HubClient, HubResponse } from './hub-client.ts';
import { HubError, TransientError } from './hub-error.ts';
import { fileUrl, type RemoteFile, type Repository } from './repository.ts';
import { type RetryContext, retrying } from './retries.ts';

export interface DownloadOptions {
  readonly client: HubClient;
  readonly retry: RetryContext;
  readonly repository: Repository;
  readonly file: RemoteFile;
  /** Where the content is gathered. */
  readonly partial: string;
  /** Bytes that have been gained; those that an earlier try had gathered count, and lost ones count below 0. */
  readonly onBytes: (bytes: number) => void;
}

/** Settles when `partial` is the whole file, on the disk. */
export async function download(options: DownloadOptions): Promise<void> {
  try {
    await gather(options);
  } catch (error) {
    // What an earlier try had left may have been damaged: once more, from the start.
    if (!(error instanceof DamagedError)) throw error;
    await gather(options).catch((again: unknown) => {
      throw again instanceof DamagedError ? corrupt(options, again.message) : again;
    });
  }
}

/** The content that was gathered is not the file's; it has been removed. */
class DamagedError extends Error {
  override readonly name = 'DamagedError';
}

async function gather(options: DownloadOptions): Promise<void> {
  const { retry, file, partial } = options;
  const handle = await open(partial, constants.O_RDWR | constants.O_CREAT, 0o644);
  const gathered = new Gathered(handle, file, options.onBytes);
  try {
    await gathered.readExisting();
    await retrying(
      retry,
      file.path,
      () => transfer(options, gathered),
      () => gathered.bytes,
    );
    if (!(await gathered.isWhole())) {
      gathered.restart();
      await rm(partial, { force: true });
      throw new DamagedError(`its content is not what the Hub lists (${file.etag})`);
    }
    await handle.sync();
  } finally {
    await handle.close();
  }
}

/** One request for what is missing. */
async function transfer({ client, retry, repository, file }: DownloadOptions, gathered: Gathered): Promise<void> {
  if (gathered.bytes >= file.bytes) return;
  const response = await client.get({
    model: repository.model,
    url: fileUrl(client, repository, file),
    headers: gathered.bytes === 0 ? {} : { range: `bytes=${gathered.bytes}-` },
    signal: retry.signal,
  });
  const wrong = wrongPart(response, file, gathered.bytes);
  if (wrong !== null) {
    await response.discard();
    throw new TransientError(wrong);
  }
  if (response.status !== 206) gathered.restart();
  for await (const chunk of response.body()) await gathered.add(chunk);
  if (gathered.bytes < file.bytes) {
    throw new TransientError(`the connection ended after ${gathered.bytes} of ${file.bytes} bytes`);
  }
}

/** Why an answer cannot be the part that was asked for; null when it can. */
function wrongPart({ status, headers }: HubResponse, file: RemoteFile, from: number): string | null {
  if (status === 206) {
    const range = headers.get('content-range');
    const expected = `bytes ${from}-${file.bytes - 1}/${file.bytes}`;
    return range === expected ? null : `expected "${expected}", got "${range}"`;
  }
  const length = headers.get('content-length');
  const encoded = (headers.get('content-encoding') ?? 'identity') !== 'identity';
  if (length === null || encoded || Number(length) === file.bytes) return null;
  return `expected ${file.bytes} bytes, got ${length}`;
}

/** What of a file has been gathered, from its start. */
class Gathered {
  readonly #handle: FileHandle;
  readonly #file: RemoteFile;
  readonly #onBytes: (bytes: number) => void;
  #hash: Hash;
  #bytes = 0;

  constructor(handle: FileHandle, file: RemoteFile, onBytes: (bytes: number) => void) {
    this.#handle = handle;
    this.#file = file;
    this.#onBytes = onBytes;
    this.#hash = startHash(file);
  }

  get bytes(): number {
    return this.#bytes;
  }

  /** Takes over what an earlier try left. */
  async readExisting(): Promise<void> {
    const buffer = Buffer.allocUnsafe(2 ** 20);
    for (;;) {
      const { bytesRead } = await this.#handle.read(buffer, 0, buffer.byteLength, this.#bytes);
      if (bytesRead === 0) return;
      this.#count(buffer.subarray(0, bytesRead));
    }
  }

  async add(chunk: Uint8Array): Promise<void> {
    if (this.#bytes + chunk.byteLength > this.#file.bytes) {
      throw new TransientError(`the server sends more than the ${this.#file.bytes} bytes that the Hub lists`);
    }
    let written = 0;
    while (written < chunk.byteLength) {
      const { bytesWritten } = await this.#handle.write(
        chunk,
        written,
        chunk.byteLength - written,
        this.#bytes + written,
      );
      written += bytesWritten;
    }
    this.#count(chunk);
  }

  restart(): void {
    this.#onBytes(-this.#bytes);
    this.#bytes = 0;
    this.#hash = startHash(this.#file);
  }

  async isWhole(): Promise<boolean> {
    const { size } = await this.#handle.stat();
    return size === this.#file.bytes && this.#hash.digest('hex') === this.#file.etag;
  }

  #count(chunk: Uint8Array): void {
    this.#hash.update(chunk);
    this.#bytes += chunk.byteLength;
    this.#onBytes(chunk.byteLength);
  }
}

/** SHA-256 of the content, or SHA-1 of git's blob: "blob", its length, a zero byte, and the content. */
function startHash({ etag, bytes }: RemoteFile): Hash {
  return etag.length === 64 ? createHash('sha256') : createHash('sha1').update(`blob ${bytes}\0`);
}

function corrupt({ repository, file }: DownloadOptions, reason: string): HubError {
  const remedy = 'The server or a proxy before it is at fault: try again later, or another HF_ENDPOINT.';
  return new HubError('HUB_CORRUPT', `${repository.model}: ${file.path}: ${reason}`, remedy);
}
