import { describe, expect, it } from 'vitest';
import { Admission } from '../../../../controller/gateway/admission.ts';

describe('admission', () => {
  it('lets in as many as its limit, and more once one has left', () => {
    const admission = new Admission(2);
    const first = admission.enter();
    admission.enter();
    expect(() => admission.enter()).toThrow(expect.objectContaining({ code: 'OVERLOADED', retryAfterSeconds: 1 }));
    admission.leave(first);
    admission.enter();
    expect(admission.running).toBe(2);
  });

  it('drains: lets nobody in, says when it is empty, and ends what is left', async () => {
    const admission = new Admission(2);
    const running = admission.enter();
    admission.drain();
    expect(() => admission.enter()).toThrow(expect.objectContaining({ code: 'UNAVAILABLE' }));
    let empty = false;
    const waiting = admission.empty().then(() => (empty = true));
    admission.abortAll();
    expect(running.signal.reason).toMatchObject({ code: 'UNAVAILABLE' });
    expect(empty).toBe(false);
    admission.leave(running);
    await waiting;
    expect(empty).toBe(true);
    await admission.empty();
  });
});
