import type { ClusterEvent__Output as ClusterEvent } from '../../proto/generated/conclave/v1/ClusterEvent.ts';

/** Codes that failures are counted by; whatever members send, there are no more. */
const MAX_CODES = 64;

/** Failures that members reported, by code. Codes beyond the bound are counted as "OTHER". */
export class FailureCounts {
  readonly byCode: Record<string, number> = {};

  count({ code, severity, count }: Pick<ClusterEvent, 'code' | 'severity' | 'count'>): void {
    if (severity === 'info') return;
    const known = code in this.byCode || Object.keys(this.byCode).length < MAX_CODES ? code : 'OTHER';
    this.byCode[known] = (this.byCode[known] ?? 0) + Math.max(1, count);
  }
}
