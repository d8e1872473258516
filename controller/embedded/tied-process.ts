/**
 * A program that must not outlive this process, however this process ends: a shell holds the read end of a pipe whose
 * write end only this process has, and ends the program when the pipe breaks.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const script = 'exec 3<&0; "$@" <&- & program=$!; { read -r _ <&3; kill "$program"; } 2>/dev/null & wait "$program"';

export interface TiedProcess {
  readonly child: ChildProcess;
  /** Ends the program; it may clean up. */
  stop(): void;
}

/** Starts `program` with its output on the child's stdout and stderr. Signals of the terminal do not reach it. */
export function spawnTied(program: string, parameters: readonly string[]): TiedProcess {
  const child = spawn('/bin/sh', ['-c', script, 'sh', program, ...parameters], {
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  child.stdin.on('error', () => undefined); // It may end first.
  child.once('exit', () => child.stdin.destroy());
  return { child, stop: () => void child.stdin.end() };
}
