/**
 * A program that must not outlive this process, however this process ends, and no more must its folder: a shell holds the
 * read end of a pipe whose write end only this process has, and when the pipe breaks it ends the program and deletes the
 * folder. A line through the pipe says that the program ended by itself.
 */
import { type ChildProcess, spawn } from 'node:child_process';

const script = `exec 3<&0; folder=$1; shift; "$@" <&- & program=$!
{ read -r _ <&3 || {
  kill "$program"
  while kill -0 "$program"; do sleep 0.1; done
  rm -rf "$folder"
}; } >/dev/null 2>&1 &
wait "$program"`;

export interface TiedProcess {
  readonly child: ChildProcess;
  /** Ends the program, which may clean up, and deletes the folder. */
  stop(): void;
}

/** Starts `program` with its output on the child's stdout and stderr. Signals of the terminal do not reach it. */
export function spawnTied(program: string, parameters: readonly string[], folder: string): TiedProcess {
  const child = spawn('/bin/sh', ['-c', script, 'sh', folder, program, ...parameters], {
    stdio: ['pipe', 'ignore', 'pipe'],
    detached: true,
  });
  child.stdin.on('error', () => undefined); // It may end first.
  child.once('exit', () => child.stdin.end('ended\n'));
  return { child, stop: () => void child.stdin.end() };
}
