import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { statusJson } from '../../../../../app/cli/operate/cluster-json.ts';
import { styleOf } from '../../../../../app/cli/top/terminal.ts';
import { afterKey, keysOf } from '../../../../../app/cli/top/view/keys.ts';
import { cut, widthOf } from '../../../../../app/cli/top/view/line.ts';
import { render, snapshot } from '../../../../../app/cli/top/view/render.ts';
import { firstState, type TopState, views, withProblem, withStatus } from '../../../../../app/cli/top/view/state.ts';
import type { Style } from '../../../../../app/cli/top/view/style.ts';
import { windowOf } from '../../../../../app/cli/top/view/window.ts';
import type { GetStatusResponse } from '../../../../../proto/generated/conclave/v1/GetStatusResponse.ts';
import { conclave, decode, encode } from '../../../../../proto/messages.ts';

const now = Date.UTC(2026, 10, 30, 5, 12, 4);
const plain: Style = { colours: 0, unicode: true };

interface Shape {
  readonly workers?: number;
  readonly layers?: number;
  readonly experts?: number;
}

/** A cluster as a controller tells of it. Expert 1 of layer 1 is asked for six times as often as others. */
function cluster({ workers = 3, layers = 4, experts = 8 }: Shape, rest: GetStatusResponse = {}) {
  const message: GetStatusResponse = {
    ...{ model: 'qwen3', atMs: now, tokensPerSecond: 41.25, running: 3, waiting: 1, leader: 'c1' },
    plan: { epoch: 4, slots: 64, pipelines: 1, reason: 'first plan' },
    rollout: { phase: 'ROLLOUT_PHASE_COMPLETE', epoch: 4 },
    bus: 'BUS_STATE_CONNECTED',
    latency: {
      timeToFirstToken: { count: 9, p50Ms: 41, p90Ms: 90, p99Ms: 1_210 },
      interToken: { count: 99, p50Ms: 9.31, p90Ms: 12, p99Ms: 30.4 },
    },
    workers: Array.from({ length: workers }, (_, i) => ({
      ...{ id: `w${i + 1}`, node: `node-${i + 1}`, roles: ['stage', 'expert'], address: `10.0.0.${i}:50051` },
      ...{ state: 'WORKER_STATE_READY', slots: 150, slotsWanted: 150, memoryBytes: 2 ** 36, weightBytes: 2 ** 34 },
      ...{ startedAtMs: now - 100_000, rowsPerSecond: 12.5 },
      activity: { dispatchMs: 0.21, kvCacheUsageRatio: 0.431 },
    })),
    load: Array.from({ length: layers }, (_, layer) => ({
      ...{ layer, imbalance: 1 + layer / 10 },
      expertRows: Array.from({ length: experts }, (_, expert) => (layer === 1 && expert === 1 ? 6 : 1)),
    })),
    events: [
      { atMs: now - 4_000, code: 'LEADER', severity: 'info', subject: 'controller/c1', message: 'leads in term 1' },
      { atMs: now, code: 'WORKER_LOST', severity: 'error', subject: 'worker/w9', message: 'its connection broke' },
    ],
    ...rest,
  };
  return statusJson(decode(conclave.GetStatusResponse, encode(conclave.GetStatusResponse, message)));
}

const stateOf = (shape: Shape, rest: GetStatusResponse = {}): TopState =>
  firstState('10.0.0.1:8001', cluster(shape, rest));
const keys = (state: TopState, typed: string): TopState => keysOf(typed).reduce(afterKey, state);

describe('render', () => {
  it('shows what matters of a small cluster on 80 × 24', () => {
    const state = { ...stateOf({}), history: [0, 20, 41.25] };
    const lines = render(state, { columns: 80, rows: 24 }, plain);
    // Local times differ by machine.
    const shown = lines.map((line) =>
      line
        .replaceAll(/\d\d:12:\d\d/g, 'hh:mm:ss')
        .replaceAll('\u001b[0m', '')
        .replaceAll(/\u001b\[\d+m/g, ''),
    );
    expect(`\n${shown.join('\n')}\n`).toMatchInlineSnapshot(`
      "
      conclave top  qwen3 at 10.0.0.1:8001                                    hh:mm:ss
      41.3 tokens/s   3 running   1 waiting   KV cache 43 %   ▁▄█
      first token 41.0 ms (p99 1.21 s), between tokens 9.31 ms (p99 30.4 ms)
      plan 4 complete   64 slots, 1 pipeline   leader c1   bus connected
      imbalance 1.15, worst 1.30 in layer 3
       1 overview   2 workers   3 experts   4 events 
      WORKER  STATE  SLOTS  ROWS/S  DISPATCH    KV  WEIGHTS  UP  ROLES         NODE
      w1      ready    150    12.5   0.21 ms  43 %   16 GiB  1m  stage,expert  node-1 
      w2      ready    150    12.5   0.21 ms  43 %   16 GiB  1m  stage,expert  node-2
      w3      ready    150    12.5   0.21 ms  43 %   16 GiB  1m  stage,expert  node-3

      LAYER rows/s beside the mean  ▁ <0.5  ▂ <0.8  ▄ <1.25  ▅ <2  ▇ <4  █ more
          0 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.00
          1 ▂▂▂▇▇▇▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂  1.10
          2 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.20
          3 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.30

      hh:mm:ss WORKER_LOST worker/w9: its connection broke
      hh:mm:ss LEADER controller/c1: leads in term 1




      q: quit   Tab or 1-4: view   up, down: move                              ?: help
      "
    `);
  });

  it('fits every terminal, whatever there is to show', () => {
    const shapes = fc.record({
      workers: fc.integer({ min: 0, max: 120 }),
      layers: fc.integer({ min: 0, max: 61 }),
      experts: fc.constantFrom(1, 8, 64, 384),
    });
    const size = fc.record({ columns: fc.integer({ min: 1, max: 220 }), rows: fc.integer({ min: 1, max: 70 }) });
    const style = fc.constantFrom<Style>(plain, { colours: 16, unicode: false }, { colours: 256, unicode: true });
    const typed = fc.array(fc.constantFrom('1', '2', '3', '4', '\t', '?', '\u001b[B', '\u001b[C', '\u001b[6~', 'G'));
    fc.assert(
      fc.property(shapes, size, style, typed, fc.boolean(), (shape, terminal, look, input, lost) => {
        const moved = keys(stateOf(shape), input.join(''));
        const state = lost ? withProblem(moved, 'no controller answers at 10.0.0.1:8001', 12_000) : moved;
        const lines = render(state, terminal, look);
        expect(lines.length).toBeLessThanOrEqual(terminal.rows);
        for (const line of lines) expect(widthOf(line)).toBeLessThanOrEqual(terminal.columns);
        // Colours end with their line.
        for (const line of lines)
          expect(line.lastIndexOf('\u001b[0m')).toBeGreaterThanOrEqual(line.lastIndexOf('\u001b['));
      }),
      { numRuns: 60 },
    );
  });

  it('does not let messages steer the terminal', () => {
    const evil = 'a\u001b[2Jb\u0007c\r\nd\u009b31m';
    const status: GetStatusResponse = {
      model: evil,
      rollout: { phase: 'ROLLOUT_PHASE_ROLLED_BACK', error: evil },
      workers: [{ id: 'w1', state: 'WORKER_STATE_FAILED', error: evil, node: evil }],
      events: [{ atMs: now, code: 'X', severity: 'error', subject: evil, message: evil }],
    };
    for (const view of views) {
      const state = { ...withProblem(stateOf({}, status), evil, 0), view };
      const text = render(state, { columns: 200, rows: 50 }, plain).join('');
      expect(text.replaceAll(/\u001b\[[17]?0?m/g, '')).not.toMatch(/\p{Cc}/u);
    }
    expect(snapshot(stateOf({}, status), 200).replaceAll('\n', '')).not.toMatch(/\p{Cc}/u);
  });

  it('says that it is old while the controller is away, and nothing of it afterwards', () => {
    const size = { columns: 100, rows: 24 };
    const away = withProblem(stateOf({}), 'no controller answers at 10.0.0.1:8001', 12_000);
    expect(render(away, size, plain)[1]).toContain('! 12 s old: no controller answers at 10.0.0.1:8001');
    expect(render(withStatus(away, away.status), size, plain).join('\n')).not.toContain('old:');
  });
});

describe('the map of experts', () => {
  const rows = (state: TopState, columns: number): readonly string[] =>
    render(state, { columns, rows: 24 }, plain).filter((line) => / \d\.\d\d$/.test(line));

  it('shows the hottest of experts and layers that share a cell', () => {
    const wide = rows(keys(stateOf({}), '3'), 80).map((line) => line.replaceAll(/\u001b\[\d*m/g, ''));
    expect(wide).toEqual([
      '    0 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.00',
      '    1 ▂▂▂▇▇▇▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂▂  1.10',
      '    2 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.20',
      '    3 ▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄▄  1.30',
    ]);
    const narrow = rows(keys(stateOf({}), '3'), 17).map((line) => line.replaceAll(/\u001b\[\d*m/g, ''));
    expect(narrow[1]).toBe('    1 ▇▂▂▂  1.10');
    expect(rows(stateOf({ layers: 61, experts: 384 }), 80).length).toBeGreaterThan(3);
  });

  it('says what is known of the expert that arrows choose', () => {
    const state = keys(stateOf({}), '3\u001b[B\u001b[C');
    expect(render(state, { columns: 120, rows: 24 }, plain).join('\n')).toContain(
      'layer 1, expert 1: 6.00 rows/s, 3.69 × the mean   layer: 13.0 rows/s, busiest worker 1.10 × the mean',
    );
    expect(keys(state, '\u001b[D\u001b[D\u001b[D').column).toBe(0);
    expect(keys(state, 'G\u001b[B').row).toBe(3);
  });
});

describe('keys', () => {
  it.each([
    ['q', ['quit']],
    ['\u0003', ['quit']],
    ['\u001b[A\u001bOB\u001b[5~', ['up', 'down', 'page up']],
    ['\u001b[1;5C', []],
    ['3\t\u001b[Z?', ['3', 'tab', 'back', 'help']],
    ['ü€x9', []],
  ])('%j means %j', (typed, names) => expect(keysOf(typed)).toEqual(names));

  it('turn views in a circle, and help is left by any', () => {
    const state = stateOf({});
    expect(keys(state, '\t\t\t').view).toBe('events');
    expect(keys(state, '\t\t\t\t').view).toBe('overview');
    expect(keys(state, '\u001b[Z').view).toBe('events');
    expect(keys(state, '?').help).toBe(true);
    expect(keys(state, '?j')).toMatchObject({ help: false, row: 0 });
    expect(keys(state, 'jjjjjj').row).toBe(2);
  });
});

describe('lines', () => {
  it('are cut by what is seen of them', () => {
    expect(cut('\u001b[31mabc\u001b[0mdef', 4)).toBe('\u001b[31mabc\u001b[0md');
    expect(cut('\u001b[31mabc\u001b[0mdef', 2)).toBe('\u001b[31mab\u001b[0m');
    expect(cut('👋👋👋', 2)).toBe('👋👋');
  });

  it('that do not fit are those around the selected one', () => {
    expect(windowOf(10, 0, 4)).toEqual({ first: 0, end: 4 });
    expect(windowOf(10, 9, 4)).toEqual({ first: 6, end: 10 });
    expect(windowOf(3, 2, 9)).toEqual({ first: 0, end: 3 });
    expect(windowOf(3, 2, -1)).toEqual({ first: 2, end: 2 });
  });
});

describe('the look', () => {
  const depth = (bits: number) => ({ getColorDepth: () => bits });
  it('is what terminal and environment say', () => {
    expect(styleOf(depth(8), { LANG: 'de_DE.UTF-8' })).toEqual({ colours: 256, unicode: true });
    expect(styleOf(depth(24), { LANG: 'C' })).toEqual({ colours: 256, unicode: false });
    expect(styleOf(depth(4), { LC_ALL: 'C', LANG: 'en_US.UTF-8' })).toEqual({ colours: 16, unicode: false });
    expect(styleOf(depth(8), { NO_COLOR: '1', LANG: 'C.utf8' })).toEqual({ colours: 0, unicode: true });
    expect(styleOf(depth(8), { NO_COLOR: '' }).colours).toBe(256);
  });
});
