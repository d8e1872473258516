import type { WorkerAnnouncement__Output as WorkerAnnouncement } from '../../../../../proto/generated/conclave/v1/WorkerAnnouncement.ts';

/** What a worker says of itself. */
export function announcement(
  id: string,
  startedAtMs: number,
  more: Partial<WorkerAnnouncement> = {},
): WorkerAnnouncement {
  return {
    ...{
      id,
      address: `${id}:9000`,
      node: 'n1',
      pid: 1,
      roles: ['expert'],
      memoryBytes: 1,
      cores: 1,
      device: 'cpu',
      gpu: null,
      weightsFormats: [],
    },
    ...{ version: '0', startedAtMs, draining: false, ...more },
  };
}
