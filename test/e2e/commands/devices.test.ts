import { join } from 'node:path';
import { describe, expect, it } from 'vitest';
import { loadNative } from '../../../native/load.ts';
import { goldenFolder } from '../golden.ts';
import { root, run, Server } from '../server.ts';

const clerk = join(root, 'models/clerk');
const small = goldenFolder('qwen3_moe');
/** Why no GPU computes here; null: one does. */
const obstacle = obstacleOf();

function obstacleOf(): string | null {
  try {
    loadNative().gpus('cuda');
    return null;
  } catch (error) {
    return error instanceof Error ? error.message : String(error);
  }
}

describe('inspect --devices', () => {
  it('lists what computes here, for people and for programs', async () => {
    const { stdout, code } = await run(['inspect', '--devices', '--output', 'json']);
    expect(code).toBe(0);
    const report = JSON.parse(stdout) as Record<string, unknown>;
    expect(report['cpu']).toMatchObject({
      id: 'cpu',
      freeBytes: expect.any(Number),
      weightsFormats: expect.any(Array),
    });
    const text = await run(['inspect', '--devices']);
    expect(text.stdout).toMatch(/^DEVICE .*\ncpu /);
    if (obstacle === null) return expect(report['unavailable']).toBeNull();
    expect(report['unavailable']).toMatchObject({ device: 'cuda', reason: `cuda: ${obstacle}` });
    expect(text.stdout).toContain(obstacle);
  });

  it('says one thing at a time', async () => {
    expect(await run(['inspect', '--devices', clerk])).toMatchObject({ code: 2, stdout: '' });
    expect(await run(['inspect'])).toMatchObject({ code: 2, stdout: '' });
  });
});

describe.skipIf(obstacle === null)(`a machine without a GPU${obstacle === null ? ' (this one has one)' : ''}`, () => {
  it('serves on the CPU, and says why', async () => {
    await using server = await Server.start([small]);
    expect(server.ready.model).toMatchObject({ device: 'cpu', gpu: null });
    expect(server.stderr).toContain(`computing on the CPU: cuda: ${obstacle}`);
  });

  it('says nothing of GPUs where the CPU was asked for', async () => {
    await using server = await Server.start([small, '--device', 'cpu']);
    expect(server.stderr).not.toContain('cuda');
  });

  it.each([
    ['serve', ['serve', small, '--port', '0', '--grpc-port', '0', '--device', 'cuda']],
    ['serve with workers', ['serve', small, '--port', '0', '--grpc-port', '0', '--workers', '2', '--device', 'cuda']],
    ['a worker', ['worker', small, '--nats', 'nats://127.0.0.1:9', '--device', 'cuda:0']],
  ])('ends %s that was asked to use one, with the reason and what to do', async (_, command) => {
    const { code, stderr } = await run(command);
    expect(code).toBe(1);
    expect(stderr).toContain(`conclave: cuda: ${obstacle}\n`);
    expect(stderr).toContain('--device cpu');
    expect(stderr).not.toMatch(/\n\s+at /);
  });
});

it('a device of another kind is refused', async () => {
  const { code, stderr } = await run(['serve', small, '--device', 'gpu']);
  expect(code).toBe(2);
  expect(stderr).toContain('--device: expected auto, cpu, cuda or cuda:N, got "gpu"');
});
