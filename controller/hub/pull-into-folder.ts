/**
 * A model in a folder of its own, as plain files: for volumes that several machines share. A note in the folder says what it
 * holds and whether that is whole; once it is, nobody asks the Hub again, and the folder never changes under those who read it.
 */
import { mkdir, readdir, readFile, stat } from 'node:fs/promises';
import { join, resolve } from 'node:path';
import { isObject } from '../model/config/json.ts';
import { folderDestination } from './cache/destination.ts';
import { withPullLock } from './cache/pull-lock.ts';
import { fetchFiles } from './fetch-files.ts';
import { lockOptions, type ModelReference, type PullContext, type PulledModel, withHub, writeWhole } from './pull.ts';
import { HubError } from './remote/hub-error.ts';
import { readRepository } from './remote/repository.ts';

/** What a folder says of itself. */
interface Note {
  readonly model: string;
  readonly revision: string;
  readonly commit: string;
  /** Sizes in bytes by path; null while files are missing. */
  readonly files: Readonly<Record<string, number>> | null;
}

const noteName = '.conclave-pull.json';
const lockName = '.conclave-pull.lock';

/** Fetches what the folder lacks; it is new, empty, or of this model. Throws a HubError. */
export async function pullIntoFolder(
  reference: ModelReference,
  folder: string,
  context: PullContext,
): Promise<PulledModel> {
  const directory = resolve(folder);
  const finished = await wholeFolder(directory, reference);
  if (finished !== null) return finished;
  if (context.settings.offline) {
    const remedy = 'Offline nothing is fetched: run the same command with a connection.';
    throw new HubError('HUB_OFFLINE', `${directory} does not hold all of ${reference.model}`, remedy);
  }
  await mkdir(directory, { recursive: true });
  return withHub(context, (client, retry) =>
    withPullLock(join(directory, lockName), lockOptions(context, retry), async () => {
      // Another process may have done it while this one waited.
      const meanwhile = await wholeFolder(directory, reference);
      if (meanwhile !== null) return meanwhile;
      const revision = (await readNote(directory))?.commit ?? reference.revision;
      const repository = await readRepository(client, retry, reference.model, revision);
      const note: Note = { ...reference, commit: repository.commit, files: null };
      await writeNote(directory, note);
      const plan = await fetchFiles(repository, folderDestination(directory), { client, retry, ...context.observer });
      const files = Object.fromEntries(plan.files.map(({ path, bytes }) => [path, bytes]));
      await writeNote(directory, { ...note, files });
      return { directory, commit: note.commit, fetchedBytes: plan.missingBytes };
    }),
  );
}

/** The model, where the folder holds all of it; null where something is missing. Throws where it holds something else. */
async function wholeFolder(directory: string, { model, revision }: ModelReference): Promise<PulledModel | null> {
  const names = await readdir(directory).catch(() => []);
  const note = await readNote(directory);
  const remedy = 'Give a new or empty folder with --to, or remove this one.';
  if (note === null) {
    // A volume's own files are no checkpoint's.
    if (names.every((name) => name.startsWith('.') || name === 'lost+found')) return null;
    throw new HubError('HUB_UNSUITABLE', `${directory} holds files, and does not say of which model`, remedy);
  }
  if (note.model !== model || ![note.revision, note.commit].includes(revision)) {
    const holds = `${note.model} at ${note.revision} (commit ${note.commit})`;
    throw new HubError('HUB_UNSUITABLE', `${directory} holds ${holds}, not ${model} at ${revision}`, remedy);
  }
  if (note.files === null) return null;
  for (const [path, bytes] of Object.entries(note.files)) {
    if ((await stat(join(directory, path)).catch(() => null))?.size !== bytes) return null;
  }
  return { directory, commit: note.commit, fetchedBytes: 0 };
}

async function readNote(directory: string): Promise<Note | null> {
  const text = await readFile(join(directory, noteName), 'utf8').catch(() => null);
  if (text === null) return null;
  try {
    const note: unknown = JSON.parse(text);
    const { model, revision, commit } = isObject(note) ? note : {};
    if ([model, revision, commit].every((value) => typeof value === 'string')) return note as Note;
  } catch {
    // Whatever stands there is not this program's.
  }
  const remedy = 'Remove it, or the whole folder.';
  throw new HubError('HUB_UNSUITABLE', `${join(directory, noteName)} does not say what the folder holds`, remedy);
}

async function writeNote(directory: string, note: Note): Promise<void> {
  await writeWhole(join(directory, noteName), `${JSON.stringify(note, null, 2)}\n`);
}
