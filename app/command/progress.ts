import { formatBytes, formatDuration } from '../../platform/process/quantities.ts';

/** How far something is that is counted in bytes. */
export interface ProgressState {
  readonly doneBytes: number;
  readonly totalBytes: number;
  readonly elapsedMs: number;
}

/** "45 %, 1.2 GiB of 2.6 GiB, 812 MiB/s, 2 s left". */
export function describeProgress(state: ProgressState): string {
  const { share, amount, speed, time } = wordsOf(state);
  return [share, amount, speed, time].filter((word) => word !== null).join(', ');
}

function wordsOf({ doneBytes, totalBytes, elapsedMs }: ProgressState) {
  const share = `${Math.floor((totalBytes === 0 ? 1 : doneBytes / totalBytes) * 100)} %`;
  const amount = `${formatBytes(doneBytes)} of ${formatBytes(totalBytes)}`;
  if (elapsedMs <= 0 || doneBytes <= 0) return { share, amount, speed: null, time: null };
  const bytesPerMs = doneBytes / elapsedMs;
  const speed = `${formatBytes(bytesPerMs * 1_000)}/s`;
  const leftMs = (totalBytes - doneBytes) / bytesPerMs;
  const time = doneBytes < totalBytes ? `${formatDuration(leftMs)} left` : `took ${formatDuration(elapsedMs)}`;
  return { share, amount, speed, time };
}

/** The longest form of a line that a terminal shows without breaking it: the bar goes first, then speed and amount. */
function fitted(task: string, state: ProgressState, columns: number): string {
  const { share, amount, speed, time } = wordsOf(state);
  const say = (...words: readonly (string | null)[]): string => words.filter((word) => word !== null).join(', ');
  const whole = `${task}: ${say(share, amount, speed, time)}`;
  const forms = [
    ...[24, 12].map((width) => `${bar(state, width)} ${whole}`),
    whole,
    `${task}: ${say(share, amount, time)}`,
    `${task}: ${say(share, time)}`,
    `${task}: ${share}`,
  ];
  // A terminal that does not say how wide it is has 80 columns; the last one stays free, for the cursor.
  const room = (columns > 0 ? columns : 80) - 1;
  return forms.find((form) => form.length <= room) ?? share.slice(0, room);
}

function bar({ doneBytes, totalBytes }: ProgressState, width: number): string {
  const filled = totalBytes === 0 ? width : Math.floor((width * doneBytes) / totalBytes);
  return `[${'#'.repeat(filled)}${'.'.repeat(width - filled)}]`;
}

export interface ProgressOutput {
  /** A terminal, whose last line may be written again. */
  readonly terminal: { write(text: string): unknown; readonly columns: number } | null;
  /** Where lines go without a terminal. */
  readonly log: (state: ProgressState, line: string) => void;
  /** Milliseconds of a monotonic clock. */
  readonly now: () => number;
}

/** The stream, where it is a terminal whose last line can be written again. */
export function rewritable<T extends { readonly isTTY: boolean }>(stream: T, environment: NodeJS.ProcessEnv): T | null {
  return stream.isTTY && environment['TERM'] !== 'dumb' ? stream : null;
}

/** Log lines come at most this often. */
const logIntervalMs = 5_000;

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
        output.terminal.write(`\r${fitted(task, state, output.terminal.columns)}\u001B[K${ended ? '\n' : ''}`);
      } else if (ended || now - loggedAt >= logIntervalMs) {
        loggedAt = now;
        output.log(state, line);
      }
    };
  };
}
