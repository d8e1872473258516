import { describe, expect, it } from 'vitest';
import { statusJson } from '../../../../../app/cli/operate/cluster-json.ts';
import { screen } from '../../../../../app/cli/operate/screen.ts';
import { statusLine, statusText } from '../../../../../app/cli/operate/status-text.ts';
import { table } from '../../../../../app/cli/operate/table.ts';
import { wrap } from '../../../../../app/cli/operate/wrap.ts';
import { age, localTime } from '../../../../../app/command/local-time.ts';
import type { GetStatusResponse } from '../../../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import { conclave, decode, encode } from '../../../../../proto/messages.ts';

const now = Date.UTC(2026, 10, 30, 5, 12, 4);

/** A cluster of so many workers, as a controller reports it. */
function cluster(workers: number, rest: GetStatusResponse = {}) {
  const message: GetStatusResponse = {
    ...{ model: 'm', atMs: now, tokensPerSecond: 41.25, running: 3, waiting: 1, leader: 'c1' },
    plan: { epoch: 4, slots: 8, pipelines: 1, reason: 'scale replicas 1 → 2 by key 1f3870be (ada@ops1)' },
    rollout: { phase: 'ROLLOUT_PHASE_COMPLETE', epoch: 4 },
    bus: 'BUS_STATE_CONNECTED',
    workers: Array.from({ length: workers }, (_, i) => ({
      ...{ id: `w${i}`, address: `10.0.0.${i}:50051`, node: `node-${i}`, pid: 4000 + i, roles: ['stage', 'expert'] },
      ...{ state: 'WORKER_STATE_READY', slots: 150, slotsWanted: 150, memoryBytes: 2 ** 36, weightBytes: 2 ** 34 },
      ...{ startedAtMs: now - 100_000, rowsPerSecond: 12.5, cordoned: i === 1 },
      activity: { dispatchMs: 0.21, kvCacheUsageRatio: 0.431 },
    })),
    ...rest,
  };
  return statusJson(decode(conclave.GetStatusResponse, encode(conclave.GetStatusResponse, message)));
}

describe('statusText', () => {
  it.each([
    [1, 80],
    [4, 80],
    [40, 80],
    [40, 200],
    [4, 60],
  ])('stays within the terminal: %d workers, %d columns', (workers, width) => {
    const reason = 'worker w2 cannot carry out plan 3: layer 0 expert 1: checksum 0x01234567, expected 0x89abcdef';
    const asked = { by: 'key 1f3870be (ada@ops1.example.org)', atMs: now };
    const status = cluster(workers, {
      requests: [
        {
          kind: 'replicas',
          what: '2 replicas of every expert',
          wanted: 2,
          actualLeast: 1,
          actualMost: 2,
          reason,
          asked,
        },
        { kind: 'drain', what: 'drain w9', workerId: 'w9', state: 'REQUEST_STATE_IN_FORCE', asked },
      ],
      events: [{ atMs: now, code: 'WORKER_LOST', severity: 'error', subject: 'worker/w2', message: reason }],
    });
    const lines = statusText(status, width).split('\n');
    expect(lines.filter((line) => line.length > width)).toEqual([]);
    expect(lines.filter((line) => /^w\d+ +ready/.test(line))).toHaveLength(workers);
  });

  it('says all of a worker where there is room, and where it is used elsewhere', () => {
    expect(statusText(cluster(2))).toContain(
      [
        'WORKER  STATE           SLOTS  WEIGHTS           ROWS/S  DISPATCH    KV  UP  ROLES         NODE     PID  ADDRESS',
        'w0      ready             150  16 GiB of 64 GiB    12.5   0.21 ms  43 %  1m  stage,expert  node-0  4000  10.0.0.0:50051',
        'w1      ready,cordoned    150  16 GiB of 64 GiB    12.5   0.21 ms  43 %  1m  stage,expert  node-1  4001  10.0.0.1:50051',
      ].join('\n'),
    );
    expect(statusText(cluster(1))).toMatch(/^traffic {2}41\.3 tokens\/s, 3 running, 1 waiting$/m);
  });

  it('shows what was asked for beside what there is, and not what flags say while it is in force', () => {
    const flags = { kind: 'replicas', what: '1 replica of every expert', wanted: 1, actualLeast: 1, actualMost: 1 };
    const inForce = cluster(1, { requests: [{ ...flags, state: 'REQUEST_STATE_IN_FORCE' }] });
    expect(statusText(inForce)).not.toContain('replica of');
    const pending = cluster(1, {
      requests: [{ ...flags, actualLeast: 0, state: 'REQUEST_STATE_PENDING', reason: 'no room' }],
    });
    expect(statusText(pending)).toContain(
      'pending      1 replica of every expert; there are 0 to 1\n             no room\n',
    );
    expect(statusLine(pending)).toMatch(/ {2}plan 4 complete, 1 of 1 workers ready, 41\.3 tokens\/s, .*, 1 pending\n$/);
  });
});

describe('screen', () => {
  it.each([
    [1, 24],
    [40, 24],
    [40, 60],
  ])('fills no more than the terminal: %d workers, %d rows', (workers, rows) => {
    const drawn = screen(cluster(workers), '', { columns: 80, rows });
    const lines = drawn.split('\n');
    expect(lines.length).toBeLessThanOrEqual(rows);
    expect(drawn.startsWith('\u001b[Hmodel    m\u001b[K\n')).toBe(true);
    const hidden = statusText(cluster(workers), 80).trimEnd().split('\n').length - (rows - 2);
    if (hidden > 1) expect(lines.at(-2)).toBe(`… ${hidden} more lines\u001b[K`);
    else expect(drawn).not.toContain('more lines');
  });

  it('says first why it is not of now', () => {
    expect(screen(cluster(1), 'no controller answers', {})).toContain(
      '\u001b[Hno controller answers\u001b[K\n\u001b[K\nmodel',
    );
  });
});

describe('table', () => {
  const rows = [
    ['a', '1', ''],
    ['bbbb', '22', ''],
  ];
  it('leaves out columns that are empty, and those that have no room', () => {
    expect(table(['NAME', 'N', 'NOTE'], rows, { right: ['N'] })).toBe('NAME   N\na      1\nbbbb  22');
    expect(table(['NAME', 'N', 'NOTE'], rows, { width: 5, dispensable: ['N'] })).toBe('NAME\na\nbbbb');
  });
});

describe('wrap', () => {
  it.each([
    ['short', 10, 'short'],
    ['one two three', 8, 'one two\n  three'],
    ['one two three four', 9, 'one two\n  three\n  four'],
    ['https://a-very-long-word and more', 10, 'https://a-very-long-word\n  and more'],
    ['key      a value', 12, 'key      a\n  value'],
    ['anything at all', Number.POSITIVE_INFINITY, 'anything at all'],
  ])('%j within %d', (text, width, expected) => {
    expect(wrap(text, width, 2)).toBe(expected);
  });
});

describe('times', () => {
  it('are local, with date and offset, and the same moment', () => {
    const shown = localTime('2026-11-30T05:12:04.000Z');
    expect(shown).toMatch(/^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d[+-]\d\d:\d\d$/);
    expect(Date.parse(shown.replace(' ', 'T'))).toBe(now);
  });

  it.each([
    [999, '0s'],
    [45_000, '45s'],
    [12 * 60_000, '12m'],
    [3 * 3_600_000 + 12 * 60_000, '3h12m'],
    [3_600_000, '1h'],
    [52 * 3_600_000, '2d4h'],
    [-5_000, '0s'],
  ])('%d ms ago: %s', (ms, expected) => {
    expect(age(ms)).toBe(expected);
  });
});
