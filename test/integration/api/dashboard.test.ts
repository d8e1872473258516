import { request as httpRequest } from 'node:http';
import { afterEach, describe, expect, it, vi } from 'vitest';
import { addDashboard, type DashboardOptions } from '../../../controller/api/dashboard/dashboard.ts';
import type { Operations } from '../../../controller/api/dashboard/operations.ts';
import { adminAccess } from '../../../controller/cluster/control/admin-access.ts';
import { ServiceError } from '../../../controller/errors.ts';
import { type ApiKeys, createApiKeys, openAccess } from '../../../platform/rpc/api-keys.ts';
import { startHarness } from './gateway-harness.ts';

const done = { epoch: 4, preview: null };
let close: (() => Promise<void>) | null = null;
afterEach(async () => {
  await close?.();
  close = null;
});

interface Given {
  readonly apiKeys?: ApiKeys;
  readonly adminKeys?: ApiKeys;
  readonly operations?: Partial<Operations> | null;
}

/** A gateway with a dashboard of a cluster; what it changes is only noted. */
async function start({ apiKeys = openAccess, adminKeys = openAccess, operations = {} }: Given = {}) {
  const calls = {
    scale: vi.fn<Operations['scale']>(async () => done),
    drain: vi.fn<Operations['drain']>(async () => done),
  };
  const access = adminAccess(adminKeys, apiKeys);
  const options: DashboardOptions = {
    status: () => ({ model: 'clerk', workers: [{ id: 'w1', state: 'WORKER_STATE_READY' }] }),
    plan: () => null,
    access: { ...access, looks: (header) => apiKeys.allows(header), operatorsNeedKey: access.needsKey },
    operations: operations === null ? null : { ...calls, ...operations },
  };
  const harness = await startHarness({}, { apiKeys }, (app) => addDashboard(app, options));
  close = () => harness.close();
  return { url: harness.url, port: Number(new URL(harness.url).port), ...calls };
}

const bearer = (key: string): Record<string, string> => ({ authorization: `Bearer ${key}` });

async function post(url: string, body: unknown, headers: Record<string, string> = {}) {
  const response = await fetch(url, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(body),
  });
  return { status: response.status, body: (await response.json()) as { error?: { message: string } } };
}

/** As fetch would not: with a Host header of one's own. */
function postAs(port: number, headers: Record<string, string>): Promise<number | undefined> {
  return new Promise((resolve, reject) => {
    const all = { 'content-type': 'application/json', ...headers };
    const request = httpRequest({ port, path: '/dashboard/drain', method: 'POST', headers: all }, (response) => {
      response.resume();
      resolve(response.statusCode);
    });
    request.on('error', reject);
    request.end('{"worker": "w1"}');
  });
}

describe('looking', () => {
  it('needs an API key where there are any, and the page itself none', async () => {
    const { url } = await start({ apiKeys: createApiKeys(['api']), adminKeys: createApiKeys(['admin']) });
    for (const path of ['/dashboard/status', '/dashboard/watch', '/dashboard/placement']) {
      expect((await fetch(url + path)).status).toBe(401);
      expect((await fetch(url + path, { headers: bearer('other') })).status).toBe(401);
    }
    const status = await fetch(`${url}/dashboard/status`, { headers: bearer('api') });
    expect(await status.json()).toMatchObject({ model: 'clerk', workers: [{ id: 'w1', state: 'ready' }] });
    expect(status.headers.get('cache-control')).toBe('no-store');
    expect((await fetch(url)).status).not.toBe(401);
  });

  it('streams what may be done and then frames, until the server stops', async () => {
    const { url } = await start();
    const response = await fetch(`${url}/dashboard/watch`);
    expect(response.headers.get('content-type')).toBe('text/event-stream; charset=utf-8');
    expect(response.headers.get('content-security-policy')).toContain("default-src 'none'");
    const text = response.text();
    await close?.();
    close = null;
    const [session = '', frame = ''] = (await text).split('\n\n');
    expect(JSON.parse(session.replace('event: session\ndata: ', ''))).toEqual({
      ...{ cluster: true, operates: true, obstacle: null, operatorsNeedKey: false },
    });
    expect(JSON.parse(frame.replace('event: frame\ndata: ', ''))).toMatchObject({ model: 'clerk' });
  });
});

describe('changing', () => {
  it('needs an admin key where there are any, and tells operators by it', async () => {
    const keys = { apiKeys: createApiKeys(['api']), adminKeys: createApiKeys(['admin']) };
    const { url, drain, scale } = await start(keys);
    for (const key of ['', 'api', 'other']) {
      const refused = await post(`${url}/dashboard/drain`, { worker: 'w1' }, bearer(key));
      expect([refused.status, refused.body.error?.message]).toEqual([401, expect.stringContaining('admin key')]);
    }
    expect(drain).not.toHaveBeenCalled();
    expect(await post(`${url}/dashboard/drain`, { worker: 'w1', dryRun: true }, bearer('admin'))).toEqual({
      ...{ status: 200, body: done },
    });
    expect(drain).toHaveBeenCalledWith(
      { workerId: 'w1', cancel: false, dryRun: true },
      expect.stringMatching(/^key [0-9a-f]{8} \(dashboard\)$/),
    );
    await post(`${url}/dashboard/scale`, { replicas: 3, layer: 1, expert: 2 }, bearer('admin'));
    await post(`${url}/dashboard/scale`, { replicas: 2, hot: 5 }, bearer('admin'));
    await post(`${url}/dashboard/scale`, { replicas: 2 }, bearer('admin'));
    expect(scale.mock.calls.map(([request]) => request)).toEqual([
      { replicas: 3, dryRun: false, target: 'expert', expert: { layer: 1, expert: 2 } },
      { replicas: 2, dryRun: false, target: 'hot', hot: 5 },
      { replicas: 2, dryRun: false, target: 'all', all: true },
    ]);
  });

  it('without keys is for this machine alone, and for no page of another site', async () => {
    const { port, url, drain } = await start();
    const local = { host: `127.0.0.1:${port}` };
    // A name that was made to resolve to this machine, a proxy, a page of another site.
    expect(await postAs(port, { host: 'attacker.example' })).toBe(401);
    expect(await postAs(port, { ...local, 'x-forwarded-for': '10.0.0.9' })).toBe(401);
    expect(await postAs(port, { ...local, 'sec-fetch-site': 'cross-site' })).toBe(401);
    // What a form, or a script without a preflight, can send.
    expect(await postAs(port, { ...local, 'content-type': 'text/plain' })).toBe(415);
    expect(await postAs(port, { ...local, 'content-type': 'application/x-www-form-urlencoded' })).toBe(415);
    expect(drain).not.toHaveBeenCalled();
    const preflight = await fetch(`${url}/dashboard/drain`, { method: 'OPTIONS' });
    expect([preflight.ok, preflight.headers.get('access-control-allow-origin')]).toEqual([false, null]);
    expect(await postAs(port, { ...local, 'sec-fetch-site': 'same-origin' })).toBe(200);
    expect(drain).toHaveBeenCalledWith({ workerId: 'w1', cancel: false, dryRun: false }, 'local operator (dashboard)');
  });

  it('refuses what is wrong by the field at fault', async () => {
    const { url } = await start();
    for (const [path, body, message] of [
      ['/dashboard/scale', {}, 'replicas: expected a number of replicas'],
      ['/dashboard/scale', { replicas: 0 }, 'replicas: expected an integer of at least 1 and at most 1024, got 0'],
      ['/dashboard/scale', { replicas: 2, layer: 1 }, 'expert: expected layer and expert together'],
      ['/dashboard/scale', { replicas: 2, layer: 1, expert: 0, hot: 3 }, 'hot: expected'],
      ['/dashboard/drain', {}, 'worker: expected the id of a worker'],
      ['/dashboard/drain', { worker: 7 }, 'worker: expected a string, got 7'],
    ] as const) {
      const { status, body: answer } = await post(url + path, body);
      expect([status, answer.error?.message]).toEqual([400, expect.stringContaining(message)]);
    }
  });

  it('passes refusals of the cluster on, and has nothing to change in one process', async () => {
    const refuse = () => Promise.reject(new ServiceError('CONFLICT', 'no plan gives it'));
    const { url } = await start({ operations: { drain: refuse } });
    expect(await post(`${url}/dashboard/drain`, { worker: 'w1' })).toMatchObject({
      status: 409,
      body: { error: { message: 'no plan gives it', code: 'conflict' } },
    });
    await close?.();
    const { url: alone } = await start({ operations: null });
    expect((await post(`${alone}/dashboard/drain`, { worker: 'w1' })).status).toBe(404);
  });
});
