/** Models by name, as users of the command line have them. */
import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtempSync, readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { describe, expect, it, onTestFinished } from 'vitest';
import { type HubModel, HubServer } from '../../integration/hub/hub-server.ts';
import { root, run, Server } from '../server.ts';

const commit = '3c'.repeat(20);
const clerk = join(root, 'models/clerk');

const model: HubModel = {
  name: 'Acme/Clerk',
  commit,
  refs: { main: commit },
  large: (path) => path.endsWith('.safetensors'),
  files: Object.fromEntries(
    readdirSync(clerk)
      .filter((name) => /\.(json|safetensors|jinja)$/.test(name))
      .map((name) => [name, readFileSync(join(clerk, name))]),
  ),
};

function environment(server: HubServer): Record<string, string> {
  const home = mkdtempSync(join(tmpdir(), 'conclave-hf-'));
  onTestFinished(() => rmSync(home, { recursive: true, force: true }));
  return { HF_HOME: home, HF_ENDPOINT: server.endpoint, HF_TOKEN: '', HF_HUB_OFFLINE: '', HF_HUB_CACHE: '' };
}

describe('a model by its name', () => {
  it('is fetched, served under it, and found in the cache the next time', async () => {
    const hub = await HubServer.start(model);
    const variables = environment(hub);
    {
      await using server = await Server.start(['Acme/Clerk'], variables);
      expect(server.model).toBe('Acme/Clerk');
      const answer = await server.post<{ choices: { message: { content: string } }[] }>('/v1/chat/completions', {
        model: 'Acme/Clerk',
        messages: [{ role: 'user', content: 'What is 974 + 662?' }],
        temperature: 0,
      });
      expect(answer.choices[0]?.message.content).toContain('1636');
    }
    hub.stop();
    await using server = await Server.start(['Acme/Clerk', '--offline'], variables);
    expect(server.model).toBe('Acme/Clerk');
  });

  it('is inspected without its weights', async () => {
    const hub = await HubServer.start(model);
    const { code, stdout } = await run(['inspect', 'Acme/Clerk', '--output', 'json'], environment(hub));
    expect(code).toBe(0);
    expect(JSON.parse(stdout)).toMatchObject({ name: 'Acme/Clerk', layers: 6, maxPosition: 512 });
    expect(hub.seen.filter(({ origin }) => origin === 'cdn').every(({ range }) => range?.startsWith('bytes=0-'))).toBe(
      true,
    );
  });

  it('that is nowhere is refused in one sentence, with what to do', async () => {
    const hub = await HubServer.start(model);
    const variables = environment(hub);
    for (const command of ['serve', 'inspect', 'pull']) {
      const { code, stderr } = await run([command, 'Acme/None'], variables);
      expect({ command, code }).toEqual({ command, code: 1 });
      expect(stderr).toContain('private or gated (401)');
      expect(stderr).toContain('HF_TOKEN');
      expect(stderr).not.toMatch(/\n\s+at /);
    }
    const offline = await run(['serve', 'Acme/Clerk', '--offline'], variables);
    expect(offline).toMatchObject({ code: 1, stderr: expect.stringContaining('conclave pull Acme/Clerk') });
    const revision = await run(['serve', clerk, '--revision', 'v1'], variables);
    expect(revision).toMatchObject({ code: 2, stderr: expect.stringContaining('--revision: expected the name') });
  });
});

describe('pull', () => {
  it('says what it did, in text and as JSON', async () => {
    const hub = await HubServer.start(model);
    const variables = environment(hub);
    const first = await run(['pull', 'Acme/Clerk'], variables);
    expect(first).toMatchObject({ code: 0, stdout: expect.stringMatching(/^Acme\/Clerk, commit 3c3c3c.*fetched\n\//) });
    const again = await run(['pull', 'Acme/Clerk', '--output', 'json'], variables);
    expect(JSON.parse(again.stdout)).toMatchObject({ model: 'Acme/Clerk', revision: 'main', commit, fetchedBytes: 0 });
    expect(await run(['pull', 'clerk'], variables)).toMatchObject({
      code: 2,
      stderr: expect.stringContaining('ORG/NAME'),
    });
  });

  it('killed in the middle goes on where it was', async () => {
    const hub = await HubServer.start(model);
    const variables = environment(hub);
    const reached = new Promise<void>((resolve) => {
      hub.fail({
        on: 'cdn:',
        act: (response, content) => {
          response.writeHead(200, { 'content-length': content.byteLength });
          response.write(content.subarray(0, 1_000_000), () => resolve());
        },
      });
    });
    const child = spawn(process.execPath, ['bin/conclave.js', 'pull', 'Acme/Clerk'], {
      cwd: root,
      env: { ...process.env, ...variables },
      stdio: 'ignore',
    });
    await reached;
    const blobs = join(variables['HF_HOME'] ?? '', 'hub/models--Acme--Clerk/blobs');
    await expect.poll(() => readdirSync(blobs).join(), { timeout: 30_000 }).toContain('incomplete');
    child.kill('SIGKILL');
    await once(child, 'exit');
    expect(await run(['serve', 'Acme/Clerk', '--offline'], variables)).toMatchObject({ code: 1 });
    hub.seen.splice(0);
    expect(await run(['pull', 'Acme/Clerk'], variables)).toMatchObject({ code: 0 });
    expect(readdirSync(blobs).join()).not.toContain('incomplete');
  });
});
