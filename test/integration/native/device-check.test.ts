/** Whole models in the check of a GPU, over an emulated one: specs that are read without Node, and steps of the native engine. */
import { execFileSync, spawnSync } from 'node:child_process';
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { root } from '../../e2e/server.ts';

const program = join(root, 'native/build/test/device_check_emulated');
const writer = join(root, 'native/cuda/device-check/models/write-models.mjs');
const missing = existsSync(program) ? '' : ' (skipped: npm run test:native builds device_check_emulated)';

describe.skipIf(missing !== '')(`the check of a device${missing}`, () => {
  const folder = mkdtempSync(join(tmpdir(), 'conclave-'));
  const models = join(folder, 'models.json');
  const check = (...args: readonly string[]) =>
    spawnSync(program, ['--models', models, ...args], { encoding: 'utf8', timeout: 300_000 });

  beforeAll(() => {
    execFileSync(process.execPath, [writer, models, '--small', 'llama', 'awq_llama']);
  });
  afterAll(() => rmSync(folder, { recursive: true }));

  it('runs checkpoints of every format that is named, and finds those whose results are others', () => {
    const { status, stderr } = check('--only', 'goldens');
    expect(stderr).toContain('goldens: passed: 5 models');
    expect(status).toBe(0);
    writeFileSync(models, readFileSync(models, 'utf8').replaceAll('"mostError":0.001', '"mostError":1e-9'));
    const strict = check('--only', 'goldens');
    expect(strict.stderr).toMatch(/failed: 2 of 5 models: .*llama in f32: text 0: a log-probability is off by/);
    expect(strict.status).toBe(1);
  });

  it('times whole steps of a model whose weights it makes', () => {
    const report = join(folder, 'report.json');
    expect(check('--only', 'model', '--json', report).status).toBe(0);
    const { operations } = JSON.parse(readFileSync(report, 'utf8')) as {
      readonly operations: readonly { readonly operation: string; readonly rows: number; readonly seconds: number }[];
    };
    expect(operations.map(({ operation, rows }) => `${operation} ${rows}`)).toEqual([
      'decode 1',
      'decode 3',
      'prefill 32',
    ]);
    for (const { seconds } of operations) expect(seconds).toBeGreaterThan(0);
  });
});
