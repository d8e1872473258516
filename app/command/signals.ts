import { signalCode } from './exit.ts';

/** The first SIGTERM or SIGINT. The second ends the process at once, with 128 + its number. */
export async function firstSignal(): Promise<NodeJS.Signals> {
  const signals = ['SIGTERM', 'SIGINT'] as const;
  const next = (): Promise<NodeJS.Signals> =>
    new Promise((resolve) => {
      for (const signal of signals) process.once(signal, () => resolve(signal));
    });
  const first = await next();
  for (const signal of signals) {
    process.removeAllListeners(signal);
    process.on(signal, () => process.exit(signalCode(signal)));
  }
  return first;
}
