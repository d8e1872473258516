/**
 * A folder whose files appear together or not at all. Until `complete`, each has the ending ".partial"; `discard` takes
 * back everything. What a killed process left under that ending is replaced by the next one.
 */
import { type FileHandle, mkdir, open, readdir, rename, rmdir, stat, statfs, unlink } from 'node:fs/promises';
import { dirname, join } from 'node:path';

/** The folder cannot take the files. */
export class FolderError extends Error {
  override readonly name = 'FolderError';
  readonly code: 'NOT_EMPTY' | 'NO_SPACE' | 'NOT_WRITABLE';
  readonly remedy: string;

  constructor(code: FolderError['code'], message: string, remedy: string, options?: ErrorOptions) {
    super(message, options);
    this.code = code;
    this.remedy = remedy;
  }
}

const partial = '.partial';

export class NewFolder {
  readonly path: string;
  /** Folders that did not exist before, outermost first. */
  readonly #made: string[] = [];
  readonly #files: string[] = [];

  private constructor(path: string) {
    this.path = path;
  }

  /** Makes the folder where it does not exist. Throws a FolderError unless it is empty and has room for `bytes`. */
  static async create(path: string, bytes: number): Promise<NewFolder> {
    const folder = new NewFolder(path);
    try {
      await folder.#explained(async () => {
        await folder.#make();
        await folder.#checkRoom(bytes);
      });
    } catch (error) {
      await folder.discard();
      throw error;
    }
    return folder;
  }

  /** Writes a file; `write` is given what takes its bytes. */
  async file(name: string, write: (take: (bytes: Uint8Array) => Promise<void>) => Promise<void>): Promise<void> {
    this.#files.push(name);
    await this.#explained(async () => {
      const handle = await open(join(this.path, `${name}${partial}`), 'w');
      try {
        await write((bytes) => writeAll(handle, bytes));
      } finally {
        await handle.close();
      }
    });
  }

  /** Gives all files their names, in the order in which they were written. */
  async complete(): Promise<void> {
    await this.#explained(async () => {
      for (const name of this.#files) await rename(join(this.path, `${name}${partial}`), join(this.path, name));
    });
  }

  /** Removes what this object made; what others put there stays. */
  async discard(): Promise<void> {
    for (const name of this.#files) {
      for (const file of [name, `${name}${partial}`]) await unlink(join(this.path, file)).catch(() => undefined);
    }
    for (const folder of this.#made.toReversed()) await rmdir(folder).catch(() => undefined);
  }

  /** One level after the other: Node's recursive mkdir never returns in a file system that takes no folders, as /proc. */
  async #make(): Promise<void> {
    const missing: string[] = [];
    let at = this.path;
    for (; !(await isFolder(at)); at = dirname(at)) missing.unshift(at);
    for (const folder of missing) {
      await mkdir(folder);
      this.#made.push(folder);
    }
  }

  async #checkRoom(bytes: number): Promise<void> {
    const entries = await readdir(this.path);
    if (entries.some((name) => !name.endsWith(partial))) {
      throw new FolderError('NOT_EMPTY', `${this.path} is not empty; expected a new folder`, 'Name another folder.');
    }
    for (const name of entries) await unlink(join(this.path, name));
    const { bavail, bsize } = await statfs(this.path);
    if (bytes > bavail * bsize) {
      const message = `${this.path} has ${bavail * bsize} bytes free; ${bytes} are needed`;
      throw new FolderError('NO_SPACE', message, 'Name a folder on another disk, or make room.');
    }
  }

  async #explained(work: () => Promise<void>): Promise<void> {
    try {
      await work();
    } catch (error) {
      throw this.#explain(error);
    }
  }

  #explain(error: unknown): unknown {
    if (!(error instanceof Error) || error instanceof FolderError || !('code' in error)) return error;
    const code = String(error.code);
    const full = code === 'ENOSPC' || code === 'EDQUOT';
    return full
      ? new FolderError('NO_SPACE', `${this.path}: the disk is full`, 'Make room, or name another disk.', {
          cause: error,
        })
      : new FolderError(
          'NOT_WRITABLE',
          `${this.path} cannot be written: ${error.message}`,
          'Name a folder that you may write to.',
          { cause: error },
        );
  }
}

async function isFolder(path: string): Promise<boolean> {
  try {
    if ((await stat(path)).isDirectory()) return true;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === 'ENOENT') return false;
    throw error;
  }
  throw new FolderError('NOT_WRITABLE', `${path} is a file; expected a folder`, 'Name another folder.');
}

async function writeAll(handle: FileHandle, bytes: Uint8Array): Promise<void> {
  for (let done = 0; done < bytes.byteLength; ) {
    const { bytesWritten } = await handle.write(bytes, done);
    if (bytesWritten === 0) throw Object.assign(new Error('the disk took no bytes'), { code: 'ENOSPC' });
    done += bytesWritten;
  }
}
