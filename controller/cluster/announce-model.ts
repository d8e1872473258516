import { randomBytes } from 'node:crypto';
import { gunzipSync, gzipSync } from 'node:zlib';
import type { Bus } from '../../platform/bus/bus.ts';
import { MEMBER_KEY, SERVED_MODEL } from '../../platform/bus/subjects.ts';
import type { MemberKeys } from '../../platform/membership/membership.ts';
import type { ServedModel } from '../../proto/generated/conclave/v1/ServedModel.ts';
import { conclave, decode, encode } from '../../proto/messages.ts';

/** Largest value on the bus, in bytes; NATS takes 1 MiB by default. */
const MAX_VALUE_BYTES = 1_000_000;

/** A description of what is served as it is on the bus. */
export function compressed(message: ServedModel): Buffer {
  const bytes = gzipSync(encode(conclave.ServedModel, message));
  if (bytes.byteLength > MAX_VALUE_BYTES) {
    throw new Error(
      `the model's description takes ${bytes.byteLength} bytes on the bus; at most ${MAX_VALUE_BYTES} fit`,
    );
  }
  return bytes;
}

/**
 * Says on the bus what is served and makes the members' secret, or puts it back. A cluster that has workers keeps its model; one without is
 * given this controller's.
 */
export async function announce(bus: Bus, keys: MemberKeys, served: Buffer, digest: string): Promise<void> {
  const control = await bus.bucket('control');
  await control.create(MEMBER_KEY, Buffer.from(keys.current ?? randomBytes(32).toString('base64url')));
  if ((await control.create(SERVED_MODEL, served)) !== null) return;
  const entry = await control.get(SERVED_MODEL);
  const other = entry === null ? null : decode(conclave.ServedModel, gunzipSync(entry.value)).spec;
  if (other !== null && other.digest !== digest && (await hasWorkers(bus))) {
    throw new Error(
      `the cluster serves "${other.name}" (digest ${other.digest.slice(0, 12)}…) with workers, this controller has another ` +
        `model (digest ${digest.slice(0, 12)}…): give it a --cluster name of its own, or stop the workers first`,
    );
  }
  await control.put(SERVED_MODEL, served);
}

async function hasWorkers(bus: Bus): Promise<boolean> {
  const workers = await bus.bucket('workers');
  let found = false;
  await new Promise<void>((resolve) => {
    const stop = workers.watch(
      ({ value }) => {
        found ||= value !== null;
      },
      () => {
        resolve();
        queueMicrotask(() => stop());
      },
    );
  });
  return found;
}
