import { expect, it } from 'vitest';
import { device } from '../../../../app/config/values.ts';

it.each(['auto', 'cpu', 'cuda', 'cuda:0', 'cuda:15', 'cuda-emulated', 'cuda-emulated:0'])('%s is a device', (name) => {
  expect(device().parse(name)).toBe(name);
});

it.each(['gpu', 'CUDA', 'cuda:', 'cuda:-1', 'cuda:x', 'cuda:0,1', 'cuda:1000', ' cuda', '', 0])(
  '%j is none',
  (name) => {
    expect(device().safeParse(name).error?.issues[0]?.message).toBe(
      `expected auto, cpu, cuda or cuda:N, got ${JSON.stringify(name)}`,
    );
  },
);
