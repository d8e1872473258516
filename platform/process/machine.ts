import { readFileSync } from 'node:fs';
import { availableParallelism, freemem, totalmem } from 'node:os';

/** Reads a text file of the kernel; null where it does not exist. Passed in, so that tests can pretend. */
export type ReadFile = (path: string) => string | null;

export interface Machine {
  /** Physical cores that this process may use: by affinity, and by the processor quota of its container. */
  readonly cores: number;
  /** Bytes that this process can still take without swapping or being killed. */
  readonly freeBytes: number;
  /** Bytes that it could take if nothing else ran here: the machine's memory, or its container's limit. */
  readonly totalBytes: number;
}

/** What this process may use now. */
export function readMachine(read: ReadFile = readKernelFile): Machine {
  return { cores: usableCores(read), freeBytes: freeBytes(read), totalBytes: totalBytes(read) };
}

/** Hyper-threads of one core count once; a quota of 1.5 processors counts as 2 threads, so that none of it is lost. */
function usableCores(read: ReadFile): number {
  const allowed = parseCpuList(/^Cpus_allowed_list:\s*(\S+)/m.exec(read('/proc/self/status') ?? '')?.[1] ?? '');
  const siblings = new Set(
    allowed.map((cpu) => read(`/sys/devices/system/cpu/cpu${cpu}/topology/thread_siblings_list`)?.trim() ?? `${cpu}`),
  );
  const physical = allowed.length === 0 ? availableParallelism() : siblings.size;
  return Math.max(1, Math.min(physical, Math.ceil(cpuQuota(read))));
}

/** Processors that the container may use; Infinity without a limit. */
function cpuQuota(read: ReadFile): number {
  const [quota, period] = (read('/sys/fs/cgroup/cpu.max') ?? 'max 100000').trim().split(/\s+/);
  const v2 = Number(quota) / Number(period);
  const v1 =
    Number(read('/sys/fs/cgroup/cpu/cpu.cfs_quota_us') ?? -1) /
    Number(read('/sys/fs/cgroup/cpu/cpu.cfs_period_us') ?? 1);
  return Math.min(v2 > 0 ? v2 : Infinity, v1 > 0 ? v1 : Infinity);
}

/** The machine's available memory, or what the container's limit leaves. File cache that can be dropped counts as free. */
function freeBytes(read: ReadFile): number {
  const available = /^MemAvailable:\s*(\d+) kB/m.exec(read('/proc/meminfo') ?? '')?.[1];
  const free = available === undefined ? freemem() : Number(available) * 1_024;
  return Math.max(0, Math.min(free, containerBytes(read, cgroupV2), containerBytes(read, cgroupV1)));
}

function totalBytes(read: ReadFile): number {
  const machine = /^MemTotal:\s*(\d+) kB/m.exec(read('/proc/meminfo') ?? '')?.[1];
  const limits = [cgroupV2, cgroupV1].map(({ folder, limit }) => Number(read(`${folder}/${limit}`) ?? NaN));
  return Math.min(machine === undefined ? totalmem() : Number(machine) * 1_024, ...limits.filter((bytes) => bytes > 0));
}

interface MemoryFiles {
  readonly folder: string;
  readonly limit: string;
  readonly usage: string;
  readonly inactive: RegExp;
}

const cgroupV2: MemoryFiles = {
  folder: '/sys/fs/cgroup',
  limit: 'memory.max',
  usage: 'memory.current',
  inactive: /^inactive_file (\d+)/m,
};
const cgroupV1: MemoryFiles = {
  folder: '/sys/fs/cgroup/memory',
  limit: 'memory.limit_in_bytes',
  usage: 'memory.usage_in_bytes',
  inactive: /^total_inactive_file (\d+)/m,
};

/** Bytes that a container's limit leaves; Infinity without one. */
function containerBytes(read: ReadFile, { folder, limit, usage, inactive }: MemoryFiles): number {
  const most = Number(read(`${folder}/${limit}`) ?? NaN);
  const used = Number(read(`${folder}/${usage}`) ?? NaN);
  if (Number.isNaN(most) || Number.isNaN(used)) return Infinity;
  return most - used + Number(inactive.exec(read(`${folder}/memory.stat`) ?? '')?.[1] ?? 0);
}

/** CPU numbers of a list such as "0-3,8". */
function parseCpuList(list: string): readonly number[] {
  return list
    .split(',')
    .filter((part) => part !== '')
    .flatMap((part) => {
      const [first, last] = part.split('-').map(Number);
      return Array.from({ length: (last ?? first ?? 0) - (first ?? 0) + 1 }, (_, index) => (first ?? 0) + index);
    });
}

function readKernelFile(path: string): string | null {
  try {
    return readFileSync(path, 'utf8');
  } catch {
    return null;
  }
}
