import { constants } from 'node:os';
import { CommanderError } from 'commander';
import { ModelError } from '../../controller/model/config/problems.ts';
import { ConfigError } from '../config/load-config.ts';

/** Exit codes of every command. `unread`: whoever read its output has gone away, as a shell reports SIGPIPE. */
export const exitCodes = { ok: 0, failure: 1, usage: 2, unread: 128 + constants.signals.SIGPIPE } as const;

/** The exit code of what a signal ended, as a shell reports it. */
export function signalCode(signal: NodeJS.Signals): number {
  return 128 + constants.signals[signal];
}

/** A failure that is explained to the person at the terminal: what happened, and what to do. */
export class CliError extends Error {
  readonly remedy: string | null;
  readonly exitCode: number;

  constructor(message: string, remedy: string | null = null, exitCode: number = exitCodes.failure) {
    super(message);
    this.name = 'CliError';
    this.remedy = remedy;
    this.exitCode = exitCode;
  }
}

/** A signal ended a command before it was done. */
export class Interrupted extends CliError {
  constructor(signal: NodeJS.Signals, state: string) {
    super(`${signal}: ${state}`, null, signalCode(signal));
    this.name = 'Interrupted';
  }
}

/** What a failed command writes to stderr, and its exit code. */
export interface FailureReport {
  /** Empty where everything has been said. */
  readonly text: string;
  readonly exitCode: number;
}

/** Turns whatever a command threw into text and an exit code. */
export function reportFailure(error: unknown): FailureReport {
  if (error instanceof CommanderError) {
    return { text: '', exitCode: error.exitCode === 0 ? exitCodes.ok : exitCodes.usage };
  }
  if (error instanceof ConfigError) {
    const { problems } = error;
    const count = problems.length === 1 ? 'a problem' : `${problems.length} problems`;
    return {
      text: [`conclave: ${count} in the configuration`, ...problems.map((problem) => `  ${problem}`)].join('\n'),
      exitCode: exitCodes.usage,
    };
  }
  if (error instanceof CliError) {
    const remedy = error.remedy === null ? [] : [`  ${error.remedy}`];
    return { text: [`conclave: ${error.message}`, ...remedy].join('\n'), exitCode: error.exitCode };
  }
  if (error instanceof ModelError) return reportFailure(new CliError(error.message));
  if (error instanceof Error && 'remedy' in error && typeof error.remedy === 'string') {
    return reportFailure(new CliError(error.message, error.remedy));
  }
  const system = error instanceof Error ? systemFailure(error) : null;
  if (system !== null) return reportFailure(system);
  return { text: `conclave: ${explain(error)}`, exitCode: exitCodes.failure };
}

/** A system call's error, with what to do about it; null for other errors. */
function systemFailure(
  error: NodeJS.ErrnoException & { readonly address?: string; readonly port?: number },
): CliError | null {
  const path = error.path ?? '';
  const place = `${error.address ?? ''}:${error.port ?? ''}`;
  switch (error.code) {
    case 'EADDRINUSE':
      return new CliError(`${place} is in use`, 'Choose other ports with --port and --grpc-port (0: any free one).');
    case 'ENOTFOUND':
    case 'EAI_AGAIN':
      return new CliError(
        `the host name ${'hostname' in error ? String(error.hostname) : ''} cannot be resolved`,
        'Give an address of this machine with --host.',
      );
    case 'EADDRNOTAVAIL':
      return new CliError(`this machine has no address ${error.address ?? ''}`, 'Give one that it has with --host.');
    case 'EACCES':
    case 'EPERM':
      return error.syscall === 'listen'
        ? new CliError(`not allowed to listen on ${place}`, 'Ports below 1024 need rights; choose another with --port.')
        : new CliError(`${path}: not allowed (${error.code})`, 'Check the rights of the folder and its files.');
    case 'ENOENT':
      return new CliError(`${path}: no such file or folder`);
    case 'ENOTDIR':
      return new CliError(`${path}: not a folder`);
    case 'ENOSPC':
      return new CliError(`${path}: no space left on the disk`);
    default:
      return null;
  }
}

/** The whole story of an error that nobody foresaw: its stack, for a bug report. Coded errors need only their message. */
function explain(error: unknown): string {
  if (!(error instanceof Error)) return String(error);
  return 'code' in error ? `${error.message} (${String(error.code)})` : (error.stack ?? error.message);
}
