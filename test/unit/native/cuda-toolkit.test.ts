/** Which compiler of CUDA is taken, with programs that only say what the real ones would. */
import { chmodSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { packageRoot } from '../../../proto/package-root.ts';

const { findToolkit } = (await import(join(packageRoot, 'native/cuda/toolkit.mjs'))) as {
  findToolkit(folder: string): { readonly nvcc: string; readonly version: string; readonly flags: string };
};

let folder = '';
let toolkit = '';

beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), 'conclave-cuda-'));
  toolkit = join(folder, 'toolkit');
  mkdirSync(join(folder, 'bin'));
  vi.stubEnv('PATH', join(folder, 'bin'));
  vi.stubEnv('CUDACXX', '');
  vi.spyOn(console, 'error').mockReturnValue();
});
afterEach(() => {
  vi.unstubAllEnvs();
  vi.restoreAllMocks();
  rmSync(folder, { recursive: true });
});

function program(path: string, script: string): string {
  const file = join(folder, path);
  writeFileSync(file, `#!/bin/sh\n${script}\n`);
  chmodSync(file, 0o755);
  return file;
}

const says = (version: string): string => `echo "Cuda compilation tools, release ${version}, V${version}.88"`;

describe('an installed compiler', () => {
  it('is taken where CUDACXX names it', () => {
    program('bin/nvcc', says('13.1'));
    const nvcc = program('other', says('12.8'));
    vi.stubEnv('CUDACXX', nvcc);
    expect(findToolkit(toolkit)).toEqual({ nvcc, version: '12.8', flags: '' });
  });

  it('is taken where it is on PATH', () => {
    program('bin/nvcc', says('13.1'));
    expect(findToolkit(toolkit)).toEqual({ nvcc: 'nvcc', version: '13.1', flags: '' });
  });

  it.each([
    ['is too old', says('12.4'), 'expected nvcc 12.8 or newer, got 12.4'],
    ['is none', 'exit 1', 'expected nvcc, which says its version'],
  ])('that CUDACXX names and that %s is refused', (_, script, message) => {
    vi.stubEnv('CUDACXX', program('other', script));
    expect(() => findToolkit(toolkit)).toThrow(message);
  });
});

describe('where no compiler is new enough', () => {
  beforeEach(() => program('bin/nvcc', says('11.8')));

  it('Python is asked for, which fetches one', () => {
    expect(() => findToolkit(toolkit)).toThrow(/python3 was not found.*CUDACXX=.*npm run build:cuda/s);
  });

  it('says what is missing of Python', () => {
    program('bin/python3', 'if [ "$1" = --version ]; then exit 0; fi; echo "ensurepip is not available"; exit 1');
    expect(() => findToolkit(toolkit)).toThrow(/python3 -m venv failed.*python3-venv.*ensurepip is not available/s);
    expect(existsSync(toolkit)).toBe(false);
  });

  /** A Python whose venv has a pip that does what `pip` says; $root is where packages go. */
  function python(pip: string): void {
    program(
      'bin/python3',
      `if [ "$1" = --version ]; then exit 0; fi
root="$3/lib/python3.11/site-packages/nvidia/cu13/bin"
/bin/mkdir -p "$3/bin" "$root"
/bin/cat >"$3/bin/python" <<END
#!/bin/sh
${pip}
END
/bin/chmod +x "$3/bin/python"`,
    );
  }

  it('says why pip fetches nothing', () => {
    python('echo "No matching distribution found"; exit 1');
    expect(() => findToolkit(toolkit)).toThrow(
      /pip could not fetch nvcc:\nNo matching distribution found.*PIP_INDEX_URL/s,
    );
  });

  it('takes the one that pip fetches, once', () => {
    python(`/bin/cp "${program('fetched', says('13.0'))}" "$root/nvcc"; echo run >>"${folder}/runs"`);
    const found = findToolkit(toolkit);
    const root = join(toolkit, 'lib/python3.11/site-packages/nvidia/cu13');
    expect(found).toEqual({ nvcc: join(root, 'bin/nvcc'), version: '13.0', flags: `-L${join(root, 'lib')}` });
    writeFileSync(join(folder, 'bin/python3'), '#!/bin/sh\nexit 1\n');
    rmSync(join(toolkit, 'bin/python'));
    expect(findToolkit(toolkit)).toEqual(found);
  });
});
