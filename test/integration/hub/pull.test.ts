/** Models are fetched as the Hub has them, whatever the connection does, and lie in the cache as Hugging Face's tools expect. */
import { mkdir, readdir, readFile, readlink, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { findOrPull, pullIntoCache } from '../../../controller/hub/pull.ts';
import { type Fault, HubServer, sendContent, sha256 } from './hub-server.ts';
import { commit, model, pulling, shards, wanted } from './pulling.ts';

const main = { model: model.name, revision: 'main' };
const [firstShard] = shards;
const content = model.files[firstShard]!;

/** The hashes of what a folder holds below itself, links followed. */
async function tree(folder: string): Promise<Record<string, string>> {
  const entries = await readdir(folder, { recursive: true });
  const files: Record<string, string> = {};
  for (const path of entries) {
    if ((await stat(join(folder, path))).isFile()) files[path] = sha256(await readFile(join(folder, path)));
  }
  return files;
}

const expected = Object.fromEntries(wanted.map((path) => [path, sha256(model.files[path]!)]));

/** Ends an answer in the middle. */
function cutAfter(bytes: number): Fault['act'] {
  return (response, whole, request) => {
    const from = Number(/^bytes=(\d+)-/.exec(request.headers.range ?? '')?.[1] ?? 0);
    response.writeHead(from === 0 ? 200 : 206, {
      'content-length': whole.byteLength - from,
      ...(from > 0 && { 'content-range': `bytes ${from}-${whole.byteLength - 1}/${whole.byteLength}` }),
    });
    response.write(whole.subarray(from, from + bytes), () => setImmediate(() => response.destroy()));
  };
}

function status(code: number, headers: Record<string, string> = {}): Fault['act'] {
  return (response) => {
    response.writeHead(code, headers);
    response.end();
  };
}

describe('pulling', () => {
  it('lays out the cache: contents by hash, links by commit, and the branch; and only what serving needs', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const { directory, fetchedBytes } = await pullIntoCache(main, context);
    const folder = join(context.settings.cache, 'models--Acme--Clerk-1B');
    expect(directory).toBe(join(folder, 'snapshots', commit));
    expect(await tree(directory)).toEqual(expected);
    expect(await readlink(join(directory, firstShard))).toBe(`../../blobs/${sha256(content)}`);
    expect(await readFile(join(folder, 'refs/main'), 'utf8')).toBe(commit);
    expect((await readdir(join(folder, 'blobs'))).filter((name) => name.includes('incomplete'))).toEqual([]);
    expect(fetchedBytes).toBe(500_000);
    const all = wanted.reduce((sum, path) => sum + model.files[path]!.byteLength, 0);
    expect(context.progress.at(-1)).toBe(all);
  });

  it('asks once: a second time nothing is fetched, and serving asks nothing at all', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    await pullIntoCache(main, context);
    server.seen.splice(0);
    expect(await pullIntoCache(main, context)).toMatchObject({ fetchedBytes: 0 });
    expect(server.transfers).toEqual([]);
    server.seen.splice(0);
    await findOrPull(main, context);
    expect(server.seen).toEqual([]);
  });

  it('takes a branch, a tag, a pull request or a commit', async () => {
    const server = await HubServer.start({ ...model, refs: { ...model.refs, 'refs/pr/3': commit } });
    const context = await pulling(server);
    for (const revision of ['v1.0', 'refs/pr/3', commit]) {
      expect(await pullIntoCache({ ...main, revision }, context)).toMatchObject({ commit });
      const offline = { ...context, settings: { ...context.settings, offline: true } };
      expect(await findOrPull({ ...main, revision }, offline)).toMatchObject({ fetchedBytes: 0 });
    }
  });

  it('fetches what is new of a new commit alone, and serves the old one until that is whole', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const old = await pullIntoCache(main, context);
    const next = '2b'.repeat(20);
    const files = { ...model.files, 'config.json': Buffer.from('{"model_type": "clerk", "new": 1}') };
    server.models = [{ ...model, commit: next, refs: { main: next }, files }];
    server.seen.splice(0);
    server.fail({ on: 'config.json', times: 1, act: status(418) });
    await expect(pullIntoCache(main, context)).rejects.toThrow('418');
    expect(await findOrPull(main, context)).toMatchObject({ directory: old.directory });
    expect(await pullIntoCache(main, context)).toMatchObject({ commit: next, fetchedBytes: 0 });
    expect(server.transfers.filter((url) => !url.includes('config.json'))).toEqual([]);
  });

  it('completes a snapshot that lacks files, whoever made it', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const { directory } = await pullIntoCache(main, context);
    await rm(join(directory, 'model.safetensors.index.json'));
    await rm(join(directory, firstShard));
    server.seen.splice(0);
    expect(await findOrPull(main, context)).toMatchObject({ directory });
    expect(server.transfers).toEqual([]); // The contents were still there.
    expect(await tree(directory)).toEqual(expected);
  });
});

describe('a connection', () => {
  it('that is cut goes on where it ended', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    server.fail({ on: sha256(content), times: 3, act: cutAfter(70_000) });
    const { directory } = await pullIntoCache(main, context);
    expect(await tree(directory)).toEqual(expected);
    const ranges = server.seen.filter(({ url }) => url.includes(sha256(content))).map(({ range }) => range);
    expect(ranges).toHaveLength(4);
    const starts = ranges.map((range) => Number(/\d+/.exec(range ?? '0')?.[0]));
    expect(starts).toEqual([...starts].sort((a, b) => a - b));
    expect(starts.at(-1)).toBeGreaterThan(70_000);
  });

  it('that fails for good leaves what was fetched, and the next try goes on there', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    server.fail({ on: sha256(content), act: cutAfter(70_000) });
    server.fail({ on: sha256(content), times: 20, act: status(503) });
    await expect(pullIntoCache(main, context)).rejects.toMatchObject({ code: 'HUB_UNREACHABLE' });
    await expect(
      findOrPull(main, { ...context, settings: { ...context.settings, offline: true } }),
    ).rejects.toMatchObject({ code: 'HUB_OFFLINE', message: expect.stringContaining('main') });
    server.faults.splice(0);
    server.seen.splice(0);
    const { directory } = await pullIntoCache(main, context);
    expect(await tree(directory)).toEqual(expected);
    const [range] = server.seen.filter(({ url }) => url.includes(sha256(content))).map((one) => one.range);
    expect(Number(/\d+/.exec(range ?? '')?.[0])).toBeGreaterThan(0);
  });

  it('that stands still is given up and tried again', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server, { stallMs: 300 });
    server.fail({
      on: sha256(content),
      act: (response, whole) => {
        response.writeHead(200, { 'content-length': whole.byteLength });
        response.write(whole.subarray(0, 10_000));
      },
    });
    const { directory } = await pullIntoCache(main, context);
    expect(await tree(directory)).toEqual(expected);
    expect(context.notes.join('\n')).toContain('sends nothing');
  });

  it('that answers 429 is tried again after the time that the server asks for', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    server.fail({ on: '/tree/', act: status(429, { 'retry-after': '7' }) });
    server.fail({ on: sha256(content), act: status(429, { ratelimit: '"resolvers";r=0;t=42' }) });
    await pullIntoCache(main, context);
    expect(context.clock.waits).toEqual(expect.arrayContaining([7_000, 42_000]));
  });

  it('whose signed address has run out is redirected again', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    server.fail({ on: 'cdn:', act: status(403) });
    const { directory } = await pullIntoCache(main, context);
    expect(await tree(directory)).toEqual(expected);
  });
});

describe('a server', () => {
  const wrong: Readonly<Record<string, Fault['act']>> = {
    'that sends other bytes': (response, whole, request) =>
      sendContent(request, response, Buffer.alloc(whole.byteLength, 1), 'x'),
    'that names another size': (response, whole, request) => sendContent(request, response, whole.subarray(1), 'x'),
    'that sends more than it should': (response, whole) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.end(Buffer.concat([whole, Buffer.alloc(10)]));
    },
    'that sends less than it should': (response, whole) => {
      response.writeHead(200, { 'transfer-encoding': 'chunked' });
      response.end(whole.subarray(0, 1_000));
    },
    'that knows no ranges': (response, whole, request) => {
      delete request.headers.range;
      sendContent(request, response, whole, 'x');
    },
    'that sends another range': (response, whole) => {
      response.writeHead(206, { 'content-range': `bytes 5-${whole.byteLength - 1}/${whole.byteLength}` });
      response.end(whole.subarray(5));
    },
  };
  for (const [name, act] of Object.entries(wrong)) {
    it(`${name} once is found out, and nothing of it stays`, async () => {
      const server = await HubServer.start(model);
      const context = await pulling(server);
      if (name.includes('range')) server.fail({ on: sha256(content), act: cutAfter(50_000) });
      server.fail({ on: sha256(content), act });
      const { directory } = await pullIntoCache(main, context);
      expect(await tree(directory)).toEqual(expected);
    });
  }

  it('that always sends other bytes is refused, by file and hash, and the file has no name', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    server.fail({ on: sha256(content), times: 99, act: wrong['that sends other bytes']! });
    await expect(pullIntoCache(main, context)).rejects.toMatchObject({
      code: 'HUB_CORRUPT',
      message: expect.stringContaining(firstShard),
    });
    const blobs = join(context.settings.cache, 'models--Acme--Clerk-1B/blobs');
    expect((await readdir(blobs)).filter((name) => name.startsWith(sha256(content)))).toEqual([]);
  });

  it('whose partial file was damaged on the disk is asked from the start', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const blobs = join(context.settings.cache, 'models--Acme--Clerk-1B/blobs');
    await mkdir(blobs, { recursive: true });
    await writeFile(join(blobs, `${sha256(content)}.conclave.incomplete`), Buffer.alloc(1_000, 9));
    const { directory } = await pullIntoCache(main, context);
    expect(await tree(directory)).toEqual(expected);
  });
});

describe('the token', () => {
  const gated = { ...model, token: 'hf_secret' };

  it('goes to the Hub, and not to where it redirects', async () => {
    const server = await HubServer.start(gated);
    const context = await pulling(server, { token: 'hf_secret' });
    await pullIntoCache(main, context);
    const carried = (origin: string) =>
      new Set(server.seen.filter((one) => one.origin === origin).map((one) => one.authorization));
    expect(carried('hub')).toEqual(new Set(['Bearer hf_secret']));
    expect(carried('cdn')).toEqual(new Set([null]));
  });

  it('that is missing or not enough for a gated model is said, with the page to go to', async () => {
    const server = await HubServer.start(gated);
    for (const [token, remedy] of [
      [null, 'HF_TOKEN'],
      ['hf_other', 'account'],
    ] as const) {
      const context = await pulling(server, { token });
      const error = await pullIntoCache(main, context).catch((reason: unknown) => reason);
      expect(error).toMatchObject({ code: 'HUB_DENIED', message: `${model.name} is gated` });
      expect((error as { remedy: string }).remedy).toContain(`${server.endpoint}/${model.name}`);
      expect((error as { remedy: string }).remedy).toContain(remedy);
      expect(context.notes).toEqual([]);
    }
  });

  it('of private and unknown models and revisions: each error says what is wrong', async () => {
    const server = await HubServer.start({ ...gated, private: true }, { ...model, name: 'Acme/Open' });
    const context = await pulling(server);
    const refused = { code: 'HUB_DENIED', message: expect.stringContaining('private or gated (401)') };
    await expect(pullIntoCache(main, context)).rejects.toMatchObject(refused);
    await expect(pullIntoCache({ model: 'Acme/None', revision: 'main' }, context)).rejects.toMatchObject(refused);
    await expect(pullIntoCache({ model: 'Acme/Open', revision: 'v9' }, context)).rejects.toMatchObject({
      code: 'HUB_NOT_FOUND',
      message: expect.stringContaining('no such revision'),
    });
  });
});

describe('without the Hub', () => {
  it('what is cached is taken, with a warning', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    const { directory } = await pullIntoCache(main, context);
    server.fail({ on: '/revision/', times: 99, act: status(502) });
    expect(await pullIntoCache(main, context)).toMatchObject({ directory });
    expect(context.notes.join('\n')).toContain('stale');
  });

  it('and without a copy, the error names the server', async () => {
    const server = await HubServer.start(model);
    const context = await pulling(server);
    server.stop();
    await expect(pullIntoCache(main, context)).rejects.toMatchObject({
      code: 'HUB_UNREACHABLE',
      message: expect.stringContaining(new URL(context.settings.endpoint).host),
    });
  });
});

describe('a model that cannot be served', () => {
  it('is refused before anything large is fetched', async () => {
    const files = { 'config.json': Buffer.from('{}'), 'model.gguf': Buffer.from('gguf') };
    const server = await HubServer.start({ ...model, files });
    await expect(pullIntoCache(main, await pulling(server))).rejects.toMatchObject({
      code: 'HUB_UNSUITABLE',
      message: expect.stringContaining('model.gguf'),
    });
    expect(server.transfers).toHaveLength(1);
  });
});
