/** Python's huggingface_hub, which made the cache's layout, and Conclave read what the other fetched. */
import { execFile, execFileSync } from 'node:child_process';
import { promisify } from 'node:util';
import { describe, expect, it } from 'vitest';
import { findCached, pullIntoCache } from '../../../controller/hub/pull.ts';
import { HubServer } from './hub-server.ts';
import { model, pulling } from './pulling.ts';

const python = process.env['PYTHON'] ?? 'python3';
const main = { model: model.name, revision: 'main' };

function hasHub(): boolean {
  try {
    execFileSync(python, ['-c', 'import huggingface_hub'], { stdio: 'ignore' });
    return true;
  } catch {
    return false;
  }
}

const skip = !hasHub();
const suffix = skip ? ' (skipped: pip install huggingface_hub, and name the interpreter in PYTHON)' : '';

/** Runs `snapshot_download` with these arguments; answers what it returns. */
async function snapshotDownload(server: HubServer, cache: string, parameters: string): Promise<string> {
  const script = `from huggingface_hub import snapshot_download; print(snapshot_download("${model.name}", ${parameters}))`;
  const { stdout } = await promisify(execFile)(python, ['-c', script], {
    env: { ...process.env, HF_HUB_CACHE: cache, HF_ENDPOINT: server.endpoint, HF_HUB_DISABLE_XET: '1' },
  });
  return stdout.trim();
}

describe.skipIf(skip)(`Python's huggingface_hub${suffix}`, () => {
  it('finds what Conclave fetched, without asking the Hub', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const { directory } = await pullIntoCache(main, context);
    server.seen.splice(0);
    expect(await snapshotDownload(server, context.settings.cache, 'local_files_only=True')).toBe(directory);
    expect(server.seen).toEqual([]);
  });

  it('completes what Conclave fetched, and fetches none of it again', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const { directory } = await pullIntoCache(main, context);
    server.seen.splice(0);
    expect(await snapshotDownload(server, context.settings.cache, 'revision="main"')).toBe(directory);
    expect(
      server.seen.filter(({ origin, method, url }) => origin === 'cdn' && method === 'GET' && url.includes('model-0')),
    ).toEqual([]);
  });

  it('fetches what Conclave then finds', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const directory = await snapshotDownload(server, context.settings.cache, 'revision="main"');
    expect(await findCached(main, context.settings)).toMatchObject({ directory });
  });

  it('leaves a part, which Conclave takes for one and completes', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    await snapshotDownload(server, context.settings.cache, 'allow_patterns=["*.json"]');
    expect(await findCached(main, context.settings)).toBeNull();
    expect(await pullIntoCache(main, context)).toMatchObject({ fetchedBytes: 500_000 });
  });
});
