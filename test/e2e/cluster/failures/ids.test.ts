import { describe, expect, it } from 'vitest';
import { completeGolden, expectGolden } from '../../expect-golden.ts';
import { goldenFolder, readGoldens } from '../../golden.ts';
import { run } from '../../server.ts';
import { Cluster, clusterTests } from '../harness/cluster.ts';

const family = 'mixtral';

describe.skipIf(clusterTests.skip)(`workers named as their machines${clusterTests.suffix}`, () => {
  it('serve, report their load, and are listed when none is named', async () => {
    const ids = ['s1', 'w7.rack-3.example.com', 'w7'];
    const roles = (role: string): readonly string[] => ['--roles', role];
    await using cluster = await Cluster.start({
      model: goldenFolder(family),
      workers: { s1: roles('stage'), 'w7.rack-3.example.com': roles('expert'), w7: roles('expert') },
    });
    for (const golden of readGoldens(family)) expectGolden(await completeGolden(cluster, [golden.prompt]), [golden]);
    const status = await cluster.untilStatus(({ load }) => load.some(({ expertRows }) => expertRows.some(Boolean)));
    expect(new Set(status.workers.map(({ id }) => id))).toEqual(new Set(ids));
    expect(status.workers.filter(({ slots }) => slots > 0).map(({ id }) => id)).toContain('w7.rack-3.example.com');

    const server = ['--server', cluster.controllers[0]?.line.grpc ?? ''];
    for (const command of ['drain', 'cordon', 'uncordon']) {
      const { code, stderr } = await run([command, ...server]);
      expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringContaining('WORKER: expected the id') });
      for (const id of ids) expect(stderr).toContain(id);
    }
    await cluster.drain('w7.rack-3.example.com');
    await cluster.worker('w7').signal('SIGKILL');
    await cluster.untilStatus(({ workers }) => workers.some(({ id, state }) => id === 'w7' && state === 'lost'));
  });
});

describe('an id that cannot be', () => {
  it.each(['', '.w', 'w.', 'a..b', 'a b', 'a/b', 'w*', 'a.>', 'é', 'a'.repeat(254)])(
    '%j is refused with the rule',
    async (id) => {
      const { code, stderr } = await run(['worker', '--nats', 'nats://127.0.0.1:1', '--id', id]);
      expect(code).toBe(2);
      expect(stderr).toMatch(/--id: expected .*(letters, digits|got "")/);
    },
  );

  it('is asked for where a command has none and no controller answers', async () => {
    const { code, stderr } = await run(['drain', '--server', '127.0.0.1:1']);
    expect({ code, stderr }).toEqual({ code: 2, stderr: expect.stringMatching(/WORKER: expected .*conclave status/) });
  });
});
