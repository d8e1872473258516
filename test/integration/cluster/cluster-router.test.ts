import { credentials, Server, ServerCredentials, type ServerWritableStream } from '@grpc/grpc-js';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { ClusterRouter, type ClusterRouterOptions } from '../../../controller/cluster/cluster-router.ts';
import type { RosterEntry } from '../../../controller/cluster/roster/roster.ts';
import { MemberKeys } from '../../../platform/membership/membership.ts';
import type { PlacementPlan as PlanInput } from '../../../proto/generated/conclave/v1/PlacementPlan.ts';
import type { RunRequest__Output } from '../../../proto/generated/conclave/v1/RunRequest.ts';
import type { RunResponse } from '../../../proto/generated/conclave/v1/RunResponse.ts';
import type { WorkerReport } from '../../../proto/generated/conclave/v1/WorkerReport.ts';
import { conclave, decode, encode } from '../../../proto/messages.ts';
import { announcement } from '../../unit/controller/cluster/roster/announcement.ts';
import { runRequest } from '../../unit/worker/engine/run-request.ts';

/** Leads that take requests and never say a word, as machines do that are gone. */
let servers: Server[];
let addresses: string[];
let running: number[];
let standings: Map<string, Pick<RosterEntry, 'standing' | 'answers'>>;
let router: ClusterRouter;

beforeEach(async () => {
  servers = [];
  running = [0, 0];
  addresses = await Promise.all([0, 1].map(startLead));
  standings = new Map(['a', 'b'].map((id) => [id, { standing: 'reached', answers: true }]));
  router = new ClusterRouter({ ...options(), credentials: credentials.createInsecure(), keys: new MemberKeys() });
});
afterEach(() => {
  router.close();
  for (const server of servers) server.forceShutdown();
});

async function startLead(index: number): Promise<string> {
  const server = new Server();
  servers.push(server);
  server.addService(conclave.StageService.service, {
    Run: (call: ServerWritableStream<RunRequest__Output, RunResponse>) => {
      running[index]!++;
      call.on('cancelled', () => running[index]!--);
    },
  });
  return new Promise((resolve, reject) => {
    server.bindAsync('127.0.0.1:0', ServerCredentials.createInsecure(), (error, port) =>
      error === null ? resolve(`127.0.0.1:${port}`) : reject(error),
    );
  });
}

/** Two pipelines, led by a and b. */
function options(): Pick<ClusterRouterOptions, 'view' | 'roster'> {
  const plan: PlanInput = {
    epoch: 1,
    workers: ['a', 'b', 'rank'].map((id, i) => ({ id, address: addresses[i] ?? '' })),
    pipelines: [0, 1].map((worker) => ({ id: `p${worker}`, stages: [{ ranks: [{ worker }, { worker: 2 }] }] })),
  };
  const report = (id: string, pipeline: string): WorkerReport => ({ id, startedAtMs: 1, readyPipelines: [pipeline] });
  const view = {
    target: null,
    committed: decode(conclave.PlacementPlan, encode(conclave.PlacementPlan, plan)),
    workers: new Map(['a', 'b'].map((id) => [id, announcement(id, 1)])),
    reports: new Map(
      [report('a', 'p0'), report('b', 'p1')].map((each) => [
        each.id ?? '',
        decode(conclave.WorkerReport, encode(conclave.WorkerReport, each)),
      ]),
    ),
  } as unknown as ClusterRouterOptions['view'];
  const roster = {
    isGone: (id: string) => standings.get(id)?.standing === 'lost' && !standings.get(id)?.answers,
    takesRequests: (id: string) => standings.get(id)?.standing === 'reached',
  };
  return { view, roster };
}

const pick = () => router.pick(runRequest('r', [1], {}), new Set());

describe('ClusterRouter', () => {
  it('sends nothing to a lead that does not answer, and is not ready without one', () => {
    expect(router.ready).toBe(true);
    standings.set('a', { standing: 'lost', answers: false });
    expect([pick(), pick()].map((pipeline) => pipeline === null)).toEqual([false, false]);
    expect(router.ready).toBe(true);
    standings.set('b', { standing: 'unreachable', answers: false });
    expect([router.ready, pick()]).toEqual([false, null]);
  });

  it('is not ready while a part of every pipeline is gone', () => {
    standings.set('rank', { standing: 'unreachable', answers: false }); // The leads may reach it.
    expect(router.ready).toBe(true);
    standings.set('rank', { standing: 'lost', answers: false });
    expect([router.ready, pick()]).toEqual([false, null]);
  });

  it('gives up what runs on a lead that is lost, so that it goes on elsewhere; what runs on others is left alone', async () => {
    const ends: string[] = [];
    const runs = [0, 1].map(async (index) => {
      const pipeline = pick()!;
      try {
        for await (const _ of pipeline.run(runRequest(`r${index}`, [1], {}), new AbortController().signal));
      } catch (error) {
        ends.push((error as { readonly code: string }).code);
      }
    });
    await expect.poll(() => running).toEqual([1, 1]);
    standings.set('a', { standing: 'lost', answers: true }); // Only its heartbeats have ended.
    router.dropLost();
    await new Promise((resolve) => setImmediate(resolve));
    expect([running, ends]).toEqual([[1, 1], []]);
    standings.set('a', { standing: 'lost', answers: false });
    router.dropLost();
    await runs[0];
    expect(ends).toEqual(['UNAVAILABLE']);
    await expect.poll(() => running).toEqual([0, 1]);
    servers[1]!.forceShutdown();
    await runs[1];
  });
});
