import { formatBytes, formatDuration } from '../quantities.ts';

/** How far something is that is counted in bytes. */
export interface ProgressState {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

/** "45 %, 1.2 GiB of 2.6 GiB, 812 MiB/s, 2 s left". */
export function describeProgress({ doneBytes, totalBytes, elapsedMs }: ProgressState): string {
  const share = totalBytes === 0 ? 1 : doneBytes / totalBytes;
  const parts = [`${Math.floor(share * 100)} %`, `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`];
  if (elapsedMs > 0 && doneBytes > 0) {
    const bytesPerMs = doneBytes / elapsedMs;
    parts.push(`${formatBytes(bytesPerMs * 1_000)}/s`);
    if (doneBytes < totalBytes) parts.push(`${formatDuration((totalBytes - doneBytes) / bytesPerMs)} left`);
    else parts.push(`took ${formatDuration(elapsedMs)}`);
  }
  return parts.join(', ');
}

export interface ProgressOutput {
  /** A terminal, whose last line may be written again. */
  readonly terminal: { write(text: string): unknown; readonly columns: number } | null;
  /** Where lines go without a terminal. */
  readonly log: (state: ProgressState, line: string) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** Log lines come at most this often. */
const logIntervalMs = 5_000;
const barWidth = 24;

/** Shows one task after another: a bar on a terminal, else a line now and then and one at the end of each task. */
export function progressReporter(
  output: ProgressOutput,
): (task: string) => (doneBytes: number, totalBytes: number) => void {
  return (task) => {
    const startedAt = output.now();
    let loggedAt = startedAt;
    let ended = false;
    return (doneBytes, totalBytes) => {
      if (ended || totalBytes === 0) return;
      ended = doneBytes >= totalBytes;
      const now = output.now();
      const state = { doneBytes, totalBytes, elapsedMs: now - startedAt };
      const line = `${task}: ${describeProgress(state)}`;
      if (output.terminal !== null) {
        const filled = Math.floor((barWidth * doneBytes) / totalBytes);
        const bar = `[${'#'.repeat(filled)}${'.'.repeat(barWidth - filled)}] ${line}`;
        output.terminal.write(`\r${bar.slice(0, output.terminal.columns - 1)}\u001B[K${ended ? '\n' : ''}`);
      } else if (ended || now - loggedAt >= logIntervalMs) {
        loggedAt = now;
        output.log(state, line);
      }
    };
  };
}
