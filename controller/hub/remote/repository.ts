/** What a model of the Hub consists of, at one commit. */
import type { HubClient } from './hub-client.ts';
import { HubError } from './hub-error.ts';
import { isCommit } from './model-name.ts';
import { type RetryContext, retrying } from './retries.ts';

/** A file of a repository. */
export interface RemoteFile {
  readonly path: string;
  readonly bytes: number;
  /** The hash by which the cache calls its content, in hex: SHA-256 of large files, git's SHA-1 of a blob for the others. */
  readonly etag: string;
}

export interface Repository {
  readonly model: string;
  readonly commit: string;
  readonly files: ReadonlyMap<string, RemoteFile>;
}

const mostFiles = 100_000;
/** Longest answer that is read as one document, in bytes. */
const mostBytes = 50_000_000;

/** The commit that a revision stands for, and the files that it holds. Throws a HubError. */
export async function readRepository(
  client: HubClient,
  retry: RetryContext,
  model: string,
  revision: string,
): Promise<Repository> {
  const { listFiles, modelInfo } = await import('@huggingface/hub');
  const options = { hubUrl: client.endpoint, fetch: documentFetch(client, retry, model) };
  const { sha } = isCommit(revision)
    ? { sha: revision }
    : await modelInfo({ name: model, revision, additionalFields: ['sha'], ...options });
  if (!isCommit(sha)) throw malformed(model, `commit ${JSON.stringify(sha)}`);
  const files = new Map<string, RemoteFile>();
  for await (const { type, path, size, oid, lfs } of listFiles({
    repo: model,
    revision: sha,
    recursive: true,
    ...options,
  })) {
    if (type !== 'file') continue;
    const file = { path, bytes: lfs?.size ?? size, etag: lfs?.oid ?? oid ?? '' };
    if (!isPlausible(file)) throw malformed(model, `${JSON.stringify(path)} has size ${file.bytes}, hash ${file.etag}`);
    files.set(path, file);
    if (files.size > mostFiles) throw malformed(model, `more than ${mostFiles} files`);
  }
  return { model, commit: sha, files };
}

/** Where a file's content is. */
export function fileUrl(client: HubClient, { model, commit }: Repository, { path }: RemoteFile): string {
  return `${client.endpoint}/${model}/resolve/${commit}/${path.split('/').map(encodeURIComponent).join('/')}`;
}

function isPlausible({ bytes, etag }: RemoteFile): boolean {
  return Number.isSafeInteger(bytes) && bytes >= 0 && /^([0-9a-f]{40}|[0-9a-f]{64})$/.test(etag);
}

function malformed(model: string, what: string): HubError {
  return new HubError('HUB_CORRUPT', `${model}: the Hub's listing cannot be right: ${what}`, 'Check HF_ENDPOINT.');
}

/** A `fetch` for documents: with deadlines and retries. What it answers has been read to its end. */
function documentFetch(client: HubClient, retry: RetryContext, model: string): typeof fetch {
  return async (input) => {
    const url = input instanceof Request ? input.url : String(input);
    return retrying(retry, `the list of files of ${model}`, async () => {
      const response = await client.get({ model, url, signal: retry.signal });
      const chunks: Uint8Array[] = [];
      let bytes = 0;
      for await (const chunk of response.body()) {
        bytes += chunk.byteLength;
        if (bytes > mostBytes) throw malformed(model, `more than ${mostBytes} bytes`);
        chunks.push(chunk);
      }
      const link = response.headers.get('link');
      return new Response(Buffer.concat(chunks), { headers: link === null ? {} : { link } });
    });
  };
}
