import { expect, it } from 'vitest';
import { FailureCounts } from '../../../../controller/cluster/failure-counts.ts';

it('failures are counted by code, events that are none are not, and codes are bounded', () => {
  const failures = new FailureCounts();
  failures.count({ code: 'PLAN_COMMITTED', severity: 'info', count: 1 });
  failures.count({ code: 'PEER_LOST', severity: 'warning', count: 3 });
  failures.count({ code: 'PEER_LOST', severity: 'warning', count: 0 });
  expect(failures.byCode).toEqual({ PEER_LOST: 4 });
  for (let i = 0; i < 1_000; i++) failures.count({ code: `CODE_${i}`, severity: 'error', count: 1 });
  expect(Object.keys(failures.byCode)).toHaveLength(65);
  expect(failures.byCode['OTHER']).toBe(1_000 - 63);
});
