import { describe, expect, it } from 'vitest';
import { readMachine } from '../../../../platform/process/machine.ts';

const GiB = 2 ** 30;

/** A machine with 4 cores of 2 threads each and 32 GiB available. */
const plain: Readonly<Record<string, string>> = {
  '/proc/self/status': 'Name:\tnode\nCpus_allowed:\tff\nCpus_allowed_list:\t0-7\n',
  ...Object.fromEntries(
    [0, 1, 2, 3, 4, 5, 6, 7].map((cpu) => [
      `/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`,
      `${cpu % 4},${(cpu % 4) + 4}\n`,
    ]),
  ),
  '/proc/meminfo': `MemTotal: ${64 * 2 ** 20} kB\nMemAvailable: ${32 * 2 ** 20} kB\n`,
};

const cases: readonly [
  string,
  Readonly<Record<string, string>>,
  { cores: number; freeBytes: number; totalBytes?: number },
][] = [
  ['counts hyper-threads once', {}, { cores: 4, freeBytes: 32 * GiB, totalBytes: 64 * GiB }],
  ['keeps to its affinity', { '/proc/self/status': 'Cpus_allowed_list:\t1,4-5\n' }, { cores: 2, freeBytes: 32 * GiB }],
  [
    'keeps to the limits of a cgroup v2 container',
    {
      '/sys/fs/cgroup/cpu.max': '250000 100000\n',
      '/sys/fs/cgroup/memory.max': `${8 * GiB}\n`,
      '/sys/fs/cgroup/memory.current': `${5 * GiB}\n`,
      '/sys/fs/cgroup/memory.stat': `anon 1\ninactive_file ${2 * GiB}\n`,
    },
    { cores: 3, freeBytes: 5 * GiB, totalBytes: 8 * GiB },
  ],
  [
    'takes "max" as no limit',
    {
      '/sys/fs/cgroup/cpu.max': 'max 100000\n',
      '/sys/fs/cgroup/memory.max': 'max\n',
      '/sys/fs/cgroup/memory.current': `${5 * GiB}\n`,
    },
    { cores: 4, freeBytes: 32 * GiB },
  ],
  [
    'keeps to the limits of a cgroup v1 container',
    {
      '/sys/fs/cgroup/cpu/cpu.cfs_quota_us': '50000\n',
      '/sys/fs/cgroup/cpu/cpu.cfs_period_us': '100000\n',
      '/sys/fs/cgroup/memory/memory.limit_in_bytes': `${4 * GiB}\n`,
      '/sys/fs/cgroup/memory/memory.usage_in_bytes': `${5 * GiB}\n`,
    },
    { cores: 1, freeBytes: 0 },
  ],
];

describe('readMachine', () => {
  it.each(cases)('%s', (_, files, expected) => {
    expect(readMachine((path) => ({ ...plain, ...files })[path] ?? null)).toMatchObject(expected);
  });

  it('finds something on this machine, whatever its kernel says', () => {
    for (const machine of [readMachine(), readMachine(() => null)]) {
      expect(machine.cores).toBeGreaterThanOrEqual(1);
      expect(machine.freeBytes).toBeGreaterThan(0);
      expect(machine.totalBytes).toBeGreaterThanOrEqual(machine.freeBytes);
    }
  });
});
