import { type ServiceError, status } from '@grpc/grpc-js';

/** What one attempt to speak to a process of a worker brought. */
export type Sighting =
  | { readonly kind: 'reached' }
  /** It is not at its address: nobody takes connections there, or somebody else answers. */
  | { readonly kind: 'gone'; readonly reason: string }
  /** No answer. That proves nothing: a slow machine, or one that stands still, gives none either. */
  | { readonly kind: 'unanswered'; readonly reason: string };

/** What the system says of a connection that nobody takes. */
const REFUSED = /connect (ECONNREFUSED|ECONNRESET|EHOSTUNREACH|ENETUNREACH|EHOSTDOWN)/;

/** What a failed call to the address means. */
export function failedSighting(error: ServiceError, address: string): Sighting {
  const refusal = REFUSED.exec(error.details)?.[1];
  if (error.code === status.UNAVAILABLE && refusal !== undefined) {
    const why = refusal === 'ECONNREFUSED' ? 'nothing listens there' : 'the connection cannot be made';
    return { kind: 'gone', reason: `connect ${refusal} ${address}: ${why}` };
  }
  return { kind: 'unanswered', reason: `${address}: ${explain(error)}` };
}

/** Which worker process is meant. */
export interface Session {
  readonly workerId: string;
  readonly startedAtMs: number;
}

/** What an answer means: an address may belong to another worker by now, or to a later process of the same one. */
export function answeredSighting(expected: Session, answer: Session, address: string): Sighting {
  if (answer.workerId !== expected.workerId) {
    return { kind: 'gone', reason: `worker ${answer.workerId} answers at ${address}; check --advertise and --port` };
  }
  if (answer.startedAtMs !== expected.startedAtMs) {
    return { kind: 'gone', reason: `another process of worker ${expected.workerId} answers at ${address}` };
  }
  return { kind: 'reached' };
}

function explain({ code, details }: ServiceError): string {
  switch (code) {
    case status.DEADLINE_EXCEEDED:
      return 'no answer in time; a firewall may drop what is sent there, or the process stands still';
    case status.UNAUTHENTICATED:
      return 'what answers there is no member of this cluster, or has not read its key yet';
    case status.UNIMPLEMENTED:
    case status.NOT_FOUND:
      return 'what answers there is no worker';
    default: {
      const cause = /Last error: (?:Error: )?(.*?)(?: \(\d{4}-[^)]*\))?\.? ?(?:Resolution note|$)/s.exec(details)?.[1];
      const what = (cause ?? details).trim().split('\n', 1)[0];
      return `no gRPC connection (${what}); check --advertise, and that both sides have the same --tls flags`;
    }
  }
}
