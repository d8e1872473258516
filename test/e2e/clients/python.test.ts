import { execFile, execFileSync } from 'node:child_process';
import { createHash } from 'node:crypto';
import { existsSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root, Server } from '../server.ts';

const run = promisify(execFile);
const folder = join(root, 'test', 'e2e', 'clients');
const requirements = join(folder, 'requirements.txt');

/** A virtual environment with the clients, made once for each list of requirements; or why there is none. */
function environment(): { readonly python: string } | { readonly obstacle: string } {
  const digest = createHash('sha256').update(readFileSync(requirements)).digest('hex').slice(0, 12);
  const place = join(root, 'node_modules', '.cache', `python-clients-${digest}`);
  const python = join(place, 'bin', 'python');
  const whole = join(place, 'whole');
  if (existsSync(whole)) return { python };
  rmSync(place, { recursive: true, force: true });
  const step = (file: string, flags: readonly string[]): string | null => {
    try {
      execFileSync(file, flags, { stdio: 'pipe', timeout: 240_000 });
      return null;
    } catch (error) {
      return `${file} ${flags.join(' ')} failed: ${String((error as { stderr?: Buffer }).stderr ?? error).slice(-300)}`;
    }
  };
  const obstacle =
    step('python3', ['-m', 'venv', place]) ??
    step(python, [
      '-m',
      'pip',
      'install',
      '--quiet',
      '--no-compile',
      '--disable-pip-version-check',
      '-r',
      requirements,
    ]);
  if (obstacle !== null) return { obstacle };
  writeFileSync(whole, '');
  return { python };
}

const made = environment();

describe.skipIf('obstacle' in made)(`Python's clients${'obstacle' in made ? ` (${made.obstacle})` : ''}`, () => {
  let server: Server;
  beforeAll(async () => {
    server = await Server.start([]);
  });
  afterAll(() => server.stop());

  it.each([
    ['openai_client.py', 'a response that was deleted'],
    ['structured_client.py', 'response: the result of a call sent back'],
    ['anthropic_client.py', 'a wrong field'],
  ])('%s reads all answers', async (script, last) => {
    const python = 'python' in made ? made.python : '';
    const { stdout } = await run(python, [join(folder, script), server.url], { timeout: 120_000 });
    expect(stdout).toContain(last);
  });

  // Whether a body is taken depends on the model and its context too, which the document cannot say.
  it('schemathesis finds no answer that /openapi.json does not describe', async () => {
    const python = 'python' in made ? made.python : '';
    const bounds = ['--phases', 'fuzzing', '--max-examples', '12', '--generation-deterministic'];
    const flags = [...bounds, '--exclude-checks', 'positive_data_acceptance', '--no-color'];
    const command = ['-m', 'schemathesis.cli', 'run', `${server.url}/openapi.json`, ...flags];
    const { stdout } = await run(python, command, { timeout: 270_000, cwd: tmpdir() }).catch((error: unknown) => {
      throw new Error((error as { stdout?: string }).stdout?.slice(-5_000) ?? String(error));
    });
    expect(stdout).toMatch(/Tested: +1[0-9]/);
  }, 300_000);
});
