import { mkdirSync, renameSync, rmSync, symlinkSync, writeFileSync } from 'node:fs';
import { join } from 'node:path';

/**
 * A folder of files laid out and replaced as the kubelet does with the volume of a Secret: each file is a symbolic link
 * through "..data" to a folder with a time in its name, and a rename of "..data" replaces all of them at once.
 */
export class MountedSecret {
  readonly folder: string;
  #versions = 0;

  constructor(folder: string, files: Readonly<Record<string, string | Buffer>>) {
    this.folder = folder;
    mkdirSync(folder, { recursive: true });
    this.replace(files);
    for (const name of Object.keys(files)) symlinkSync(join('..data', name), this.path(name));
  }

  path(name: string): string {
    return join(this.folder, name);
  }

  replace(files: Readonly<Record<string, string | Buffer>>): void {
    const version = `..2026_01_01_00_00_00.${this.#versions++}`;
    mkdirSync(this.path(version));
    for (const [name, content] of Object.entries(files)) writeFileSync(join(this.folder, version, name), content);
    symlinkSync(version, this.path('..data_tmp'));
    renameSync(this.path('..data_tmp'), this.path('..data'));
    const before = `..2026_01_01_00_00_00.${this.#versions - 2}`;
    rmSync(this.path(before), { recursive: true, force: true });
  }
}
