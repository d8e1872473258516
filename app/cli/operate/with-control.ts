import type { ConnectionConfig } from '../../config/operate-config.ts';
import type { ControlClient } from './control-client.ts';

/** Runs `work` with a client that is closed afterwards. What it needs is loaded now: help and errors do without. */
export async function withControl<T>(
  config: ConnectionConfig,
  work: (control: ControlClient) => Promise<T>,
): Promise<T> {
  const { ControlClient } = await import('./control-client.ts');
  const control = new ControlClient(config);
  try {
    return await work(control);
  } finally {
    control.close();
  }
}
