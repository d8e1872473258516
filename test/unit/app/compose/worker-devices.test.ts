import { describe, expect, it } from 'vitest';
import { assignGpus } from '../../../../app/compose/worker-devices.ts';
import type { Gpu } from '../../../../native/native.ts';

const gpus = [0, 1, 2].map(
  (index): Gpu => ({
    ...{ id: `cuda:${index}`, name: 'NVIDIA H200', computeCapability: '9.0', totalBytes: 100_000 },
    ...{ multiprocessors: 132, sharedBytesPerBlock: 232_448 },
  }),
);

/** Others take a part of each. */
const freeBytes = (id: string): number => (id === 'cuda:0' ? 60_000 : 80_000);

describe('workers of one machine', () => {
  it.each(['auto', 'cuda'])('get a GPU each with --device %s, whose memory they see for themselves', (device) => {
    expect(assignGpus(device, 3, gpus, freeBytes)).toEqual([
      { device: 'cuda:0', memoryBytes: null },
      { device: 'cuda:1', memoryBytes: null },
      { device: 'cuda:2', memoryBytes: null },
    ]);
  });

  it('share GPUs, and their memory, where auto finds fewer', () => {
    const assigned = assignGpus('auto', 5, gpus, freeBytes);
    expect(assigned.map(({ device }) => device)).toEqual(['cuda:0', 'cuda:1', 'cuda:2', 'cuda:0', 'cuda:1']);
    expect(assigned.map(({ memoryBytes }) => memoryBytes)).toEqual([27_000, 36_000, null, 27_000, 36_000]);
  });

  it('are too many for --device cuda where there are fewer GPUs', () => {
    expect(() => assignGpus('cuda', 4, gpus, freeBytes)).toThrow(
      '--workers: expected at most 3, one for each GPU (cuda:0, cuda:1, cuda:2), got 4',
    );
  });

  it('do not all get the one GPU that --device names', () => {
    expect(() => assignGpus('cuda:1', 2, gpus, freeBytes)).toThrow(
      '--device: expected cuda, which gives each of the 2 workers a GPU of its own, got "cuda:1"',
    );
    expect(assignGpus('cuda:1', 1, gpus, freeBytes)).toEqual([{ device: 'cuda:1', memoryBytes: null }]);
    expect(() => assignGpus('cuda:9', 1, gpus, freeBytes)).toThrow('there is no cuda:9');
  });
});
