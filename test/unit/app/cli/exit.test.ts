import { readFileSync } from 'node:fs';
import { createServer } from 'node:net';
import { CommanderError } from 'commander';
import { expect, it } from 'vitest';
import { CliError, reportFailure } from '../../../../app/command/exit.ts';
import { ConfigError } from '../../../../app/config/load-config.ts';

function thrownBy(action: () => void): unknown {
  try {
    action();
  } catch (error) {
    return error;
  }
  return undefined;
}

it('ends with 2 and all problems on a wrong configuration', () => {
  expect(reportFailure(new ConfigError(['--a: x', '--b: y']))).toEqual({
    text: 'conclave: 2 problems in the configuration\n  --a: x\n  --b: y',
    exitCode: 2,
  });
});

it('ends with 2 on wrong usage, with 0 after help, and repeats neither', () => {
  expect(reportFailure(new CommanderError(1, 'commander.unknownOption', ''))).toEqual({ text: '', exitCode: 2 });
  expect(reportFailure(new CommanderError(0, 'commander.help', ''))).toEqual({ text: '', exitCode: 0 });
});

it('says the remedy below the failure', () => {
  expect(reportFailure(new CliError('no', 'do this'))).toEqual({ text: 'conclave: no\n  do this', exitCode: 1 });
});

it('explains a port in use', async () => {
  const first = createServer().listen(0, '127.0.0.1');
  await new Promise((resolve) => first.once('listening', resolve));
  const address = first.address();
  const port = typeof address === 'object' && address !== null ? address.port : 0;
  const second = createServer().listen(port, '127.0.0.1');
  const error = await new Promise((resolve) => second.once('error', resolve));
  expect(reportFailure(error)).toEqual({
    text: `conclave: 127.0.0.1:${port} is in use\n  Choose other ports with --port and --grpc-port (0: any free one).`,
    exitCode: 1,
  });
  first.close();
});

it('explains a missing file without a stack', () => {
  const error = thrownBy(() => readFileSync('/does/not/exist'));
  expect(reportFailure(error)).toEqual({ text: 'conclave: /does/not/exist: no such file or folder', exitCode: 1 });
});

it('gives the code of a coded error and the stack of any other', () => {
  expect(reportFailure(Object.assign(new Error('too big'), { code: 'OUT_OF_MEMORY' })).text).toBe(
    'conclave: too big (OUT_OF_MEMORY)',
  );
  expect(reportFailure(new Error('odd')).text).toMatch(/odd\n\s+at /);
});
