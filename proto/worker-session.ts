import { Metadata } from '@grpc/grpc-js';

/** One process of a worker. */
export interface WorkerSession {
  readonly workerId: string;
  readonly startedAtMs: number;
}

const ID = 'conclave-worker-id';
const STARTED = 'conclave-worker-started-at';

/** What a worker says of itself as it accepts a stream: an address may belong to another by now. */
export function sessionMetadata({ workerId, startedAtMs }: WorkerSession): Metadata {
  const metadata = new Metadata();
  metadata.set(ID, workerId);
  metadata.set(STARTED, String(startedAtMs));
  return metadata;
}

/** Who accepted a stream; null when it does not say. */
export function sessionOf(metadata: Metadata): WorkerSession | null {
  const [workerId, startedAtMs] = [metadata.get(ID)[0], Number(metadata.get(STARTED)[0])];
  return typeof workerId === 'string' && Number.isSafeInteger(startedAtMs) ? { workerId, startedAtMs } : null;
}
