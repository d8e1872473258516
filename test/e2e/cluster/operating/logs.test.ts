/** What the logs say when something that members need is away: one line for each cause, what to do, and no stack. */
import { spawn } from 'node:child_process';
import { describe, expect, it } from 'vitest';
import { NatsServer } from '../../../integration/nats-server.ts';
import { goldenFolder } from '../../golden.ts';
import { root, run, until } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const model = goldenFolder('mixtral');
const stack = /\n\s+at |"stack"/;

function lines(log: string, pattern: RegExp): readonly string[] {
  return log.split('\n').filter((line) => pattern.test(line));
}

/** The sum of a metric over its labels. */
async function metric(cluster: Cluster, name: string): Promise<number> {
  const { text } = await cluster.request(`${cluster.urls[0]}/metrics`);
  return text
    .split('\n')
    .filter((line) => line.startsWith(`${name} `) || line.startsWith(`${name}{`))
    .reduce((sum, line) => sum + Number(line.slice(line.lastIndexOf(' '))), 0);
}

describe.skipIf(clusterTests.skip)(`the logs${clusterTests.suffix}`, () => {
  it('of a lead that is dead for a while name it once, and a resumed request is counted once', async () => {
    await using cluster = await Cluster.start({ model, workers: { w1: [] } });
    const ask = (): Promise<{ readonly usage: { readonly completion_tokens: number } }> =>
      cluster.post('/v1/completions', {
        ...{ model: cluster.model, prompt: [5, 6, 7], max_tokens: 200, temperature: 0, ignore_eos: true },
      });
    const running = Promise.all([ask(), ask(), ask(), ask()]);
    await until(
      () => metric(cluster, 'conclave_generation_tokens_total'),
      (tokens) => tokens >= 8,
    );
    await cluster.worker('w1').signal('SIGKILL');
    // Each of them was lost at least once.
    await until(
      () => metric(cluster, 'conclave_request_retries_total'),
      (retries) => retries >= 4,
    );
    await cluster.startWorker('w1');
    for (const { usage } of await running) expect(usage.completion_tokens).toBe(200);
    expect(await metric(cluster, 'conclave_request_resumes_total')).toBeLessThanOrEqual(4);
    expect(await metric(cluster, 'conclave_request_resumes_total')).toBeGreaterThan(0);
    const log = cluster.controllers[0]?.log ?? '';
    expect(lines(log, /a pipeline was lost/)).toHaveLength(1);
    expect(log).not.toMatch(stack);
  });

  it('of a NATS that is not there yet say once why, what to do, and that it came', async () => {
    const nats = await NatsServer.start();
    await nats.signal('SIGKILL');
    const child = spawn(
      process.execPath,
      ['bin/conclave.js', 'controller', model, '--nats', nats.url, '--port', '0', '--grpc-port', '0'],
      { cwd: root, stdio: ['ignore', 'ignore', 'pipe'] },
    );
    let log = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => (log += text));
    try {
      await until(
        () => log,
        (text) => text.includes('ECONNREFUSED'),
      );
      await nats.restart();
      await until(
        () => log,
        (text) => text.includes('NATS answers'),
      );
      expect(lines(log, /ECONNREFUSED/)).toHaveLength(1);
      expect(log).toContain('nats-server -js');
      expect(log).not.toMatch(stack);
    } finally {
      child.kill('SIGKILL');
      await nats.stop();
    }
  });

  it.each(['controller', 'worker'])('of a %s whose NATS has no JetStream say how to start it', async (command) => {
    const nats = await NatsServer.start(['-js=false']);
    try {
      const { code, stderr } = await run([command, model, '--nats', nats.url]);
      expect({ code, stderr }).toEqual({
        code: 1,
        stderr: expect.stringMatching(/NATS at nats:\S+ runs without JetStream\n {2}Start one with "nats-server -js"/),
      });
      expect(stderr).not.toMatch(stack);
    } finally {
      await nats.stop();
    }
  });
});
