import { execFileSync } from 'node:child_process';
import { readFileSync } from 'node:fs';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { needs } from '../../../integration/find-program.ts';
import { completeGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { Pty } from '../../pty.ts';
import { run, until } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const family = 'mixtral';
const pty = needs('script', 'apt-get install bsdutils');

describe.skipIf(clusterTests.skip)(`conclave top${clusterTests.suffix}`, () => {
  let cluster: Cluster;
  const server = (): string => cluster.controllers[0]?.line.grpc ?? '';
  beforeAll(async () => {
    cluster = await Cluster.start({ model: goldenFolder(family), workers: { w1: [], w2: [] } });
    const prompts = readGoldens(family).map(({ prompt }) => prompt);
    await completeGolden(cluster, prompts);
    await cluster.untilStatus(({ load, latency }) => load.length > 0 && latency !== null);
  });
  afterAll(() => cluster?.stop());

  it('shows one view where its output is no terminal, and one document as JSON', async () => {
    const { code, stdout, stderr } = await run(['top', '--server', server()]);
    expect([code, stderr]).toEqual([0, '']);
    expect(stdout).not.toMatch(/\u001b/);
    expect(stdout).toMatch(/^conclave top {2}mixtral at /);
    expect(stdout).toMatch(/first token .* ms \(p99/);
    expect(stdout).toMatch(/^w1 +ready /m);
    expect(stdout).toMatch(/PLAN_COMMITTED/);
    const json = await run(['top', '--server', server(), '--output', 'json']);
    expect(JSON.parse(json.stdout)).toMatchObject({
      model: family,
      latency: { timeToFirstToken: { count: expect.any(Number), p99Ms: expect.any(Number) } },
    });
  });

  it('ends with what is wrong where nobody answers', async () => {
    const { code, stderr } = await run(['top', '--server', '127.0.0.1:1']);
    expect(code).toBe(1);
    expect(stderr).toContain('no controller answers at 127.0.0.1:1');
  });

  describe.skipIf(pty.skip)(`on a terminal${pty.suffix}`, () => {
    const top = (environment: Readonly<Record<string, string>> = {}, ...flags: readonly string[]): Pty =>
      Pty.start(['top', '--server', server(), '--interval', '500ms', ...flags], environment);

    /** The terminal is as it was: its settings, its own screen, the cursor, line breaks. */
    const expectRestored = async (terminal: Pty, exitCode: number): Promise<void> => {
      await terminal.ended();
      expect(terminal.printed('EXIT')).toBe(String(exitCode));
      expect(terminal.printed('AFTER')).toBe(terminal.printed('BEFORE'));
      const { output } = terminal;
      for (const [on, off] of [
        ['\u001b[?1049h', '\u001b[?1049l'],
        ['\u001b[?25l', '\u001b[?25h'],
        ['\u001b[?7l', '\u001b[?7h'],
      ] as const) {
        expect(output.lastIndexOf(off)).toBeGreaterThan(output.lastIndexOf(on));
      }
    };

    it('shows the views that keys choose, in the size of the terminal, and q ends it', async () => {
      await using terminal = top();
      await terminal.untilShown(/w2 +ready/);
      expect(terminal.screen).toHaveLength(24);
      terminal.type('3');
      await terminal.untilShown('layer 0, expert 0:');
      terminal.type('\u001b[C\u001b[B');
      await terminal.untilShown('layer 1, expert 1:');
      terminal.type('\t');
      await terminal.untilShown('PLAN_COMMITTED');
      terminal.type('?');
      await terminal.untilShown('any key goes back');
      terminal.type(' ');
      execFileSync('stty', ['-F', terminal.printed('TTY') ?? '', 'rows', '10', 'cols', '40']);
      await until(
        () => terminal.screen,
        (screen) => screen.length === 10 && screen.every((line) => line.length <= 40),
      );
      terminal.type('q');
      await expectRestored(terminal, 0);
    });

    it.each([
      ['SIGINT', 130],
      ['SIGTERM', 143],
    ] as const)('gives the terminal back on %s', async (signal, code) => {
      await using terminal = top();
      await terminal.untilShown(/w2 +ready/);
      process.kill(processOn(terminal.printed('TTY') ?? ''), signal);
      await expectRestored(terminal, code);
    });

    it('uses no colours where NO_COLOR is set, and draws nothing on a dumb terminal', async () => {
      await using plain = top({ NO_COLOR: '1' });
      await plain.untilShown(/w2 +ready/);
      expect(plain.output).not.toMatch(/\u001b\[(3\d|4\d|9\d|38|48)[;m]/);
      plain.type('q');
      await plain.ended();
      await using dumb = top({ TERM: 'dumb' });
      await dumb.ended();
      expect(dumb.printed('EXIT')).toBe('0');
      expect(dumb.output).not.toMatch(/\u001b/);
      expect(dumb.output).toMatch(/w2 +ready/);
    });

    it('says when the controller is away, and goes on when it is back', async () => {
      await using terminal = top();
      await terminal.untilShown(/w2 +ready/);
      await cluster.controllers[0]?.signal('SIGKILL');
      await terminal.untilShown(/^! .* old: no controller answers/m);
      expect(terminal.screen.join('\n')).toMatch(/w2 +ready/);
      await cluster.startController('c1');
      await until(
        () => terminal.screen,
        (screen) => !screen.some((line) => line.startsWith('!')),
        60_000,
      );
      terminal.type('\u0003');
      await expectRestored(terminal, 0);
    });
  });
});

/** The process that runs the program on a terminal. */
function processOn(tty: string): number {
  const listed = execFileSync('ps', ['-t', tty.replace('/dev/', ''), '-o', 'pid=']).toString();
  const pids = listed.trim().split(/\s+/).map(Number);
  const found = pids.find((pid) => readFileSync(`/proc/${pid}/cmdline`, 'utf8').includes('bin/conclave.js\0top'));
  if (found === undefined) throw new Error(`conclave top does not run on ${tty}`);
  return found;
}
