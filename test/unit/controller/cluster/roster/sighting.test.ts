import { type ServiceError, status } from '@grpc/grpc-js';
import { expect, it, test } from 'vitest';
import { answeredSighting, failedSighting } from '../../../../../controller/cluster/roster/sighting.ts';

const noConnection = (cause: string): string => `No connection established. Last error: ${cause}. Resolution note: `;

test.each([
  [
    'a refusal',
    status.UNAVAILABLE,
    noConnection('Error: connect ECONNREFUSED 10.0.0.7:8002'),
    'gone',
    /nothing listens/,
  ],
  ['a reset', status.UNAVAILABLE, noConnection('Error: connect ECONNRESET 10.0.0.7:8002'), 'gone', /ECONNRESET/],
  ['a machine that is gone', status.UNAVAILABLE, noConnection('Error: connect EHOSTUNREACH h'), 'gone', /EHOSTUNREACH/],
  ['a deadline', status.DEADLINE_EXCEEDED, 'Deadline exceeded after 3s', 'unanswered', /firewall/],
  [
    'a time-out of the system',
    status.UNAVAILABLE,
    noConnection('Error: connect ETIMEDOUT h'),
    'unanswered',
    /ETIMEDOUT/,
  ],
  ['a stream that broke', status.UNAVAILABLE, 'Connection dropped', 'unanswered', /Connection dropped/],
  [
    'a name that is not known',
    status.UNAVAILABLE,
    'Name resolution failed for target dns:x:1',
    'unanswered',
    /Name resol/,
  ],
  [
    'TLS on one side',
    status.UNAVAILABLE,
    noConnection('Failed to connect (2026-01-01T00:00:00.000Z)'),
    'unanswered',
    /--tls/,
  ],
  ['another cluster', status.UNAUTHENTICATED, 'missing or unknown key', 'unanswered', /no member of this cluster/],
  ['another service', status.UNIMPLEMENTED, 'unknown method', 'unanswered', /no worker/],
])('%s', (_, code, details, kind, reason) => {
  const sighting = failedSighting({ code, details } as ServiceError, '10.0.0.7:8002');
  expect(sighting).toEqual({ kind, reason: expect.stringMatching(reason) });
  expect(sighting).toEqual({ kind, reason: expect.stringContaining('10.0.0.7:8002') });
});

it('an answer must come from the process that is meant', () => {
  const expected = { workerId: 'w', startedAtMs: 5 };
  expect(answeredSighting(expected, expected, 'h:1')).toEqual({ kind: 'reached' });
  expect(answeredSighting(expected, { workerId: 'v', startedAtMs: 5 }, 'h:1')).toEqual({
    kind: 'gone',
    reason: 'worker v answers at h:1; check --advertise and --port',
  });
  expect(answeredSighting(expected, { workerId: 'w', startedAtMs: 6 }, 'h:1')).toEqual({
    kind: 'gone',
    reason: 'another process of worker w answers at h:1',
  });
});
