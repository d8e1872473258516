/** What a model is compiled from: a checkpoint folder of Hugging Face's layout, or a GGUF file. */
import { stat } from 'node:fs/promises';
import { basename, dirname } from 'node:path';
import { type Checkpoint, consolidatedFiles, readCheckpoint } from './checkpoint/checkpoint.ts';
import { isFolder, readJsonFile } from './checkpoint/folder.ts';
import type { StoredFormat } from './checkpoint/stored-format.ts';
import type { Problems } from './config/problems.ts';
import type { ModelStyle } from './families/family.ts';
import { type Generation, readGeneration } from './generation.ts';
import { readGgufConfig } from './gguf/architectures/config.ts';
import { renameTensors } from './gguf/architectures/names.ts';
import { blockFormat } from './gguf/block-types.ts';
import { isGguf, readGguf } from './gguf/file.ts';
import { readLongrope } from './gguf/rope-factors.ts';
import { renameMistralTensors } from './mistral/names.ts';
import { mistralConfig } from './mistral/params.ts';
import { nameOf } from './name.ts';
import { readQuantisation } from './quantisation/quantisation.ts';

export interface ModelSource {
  /** That files are relative to; absolute. */
  readonly directory: string;
  readonly name: string;
  /** config.json; null when it cannot be read, which is reported. */
  readonly config: Readonly<Record<string, unknown>> | null;
  readonly generation: Generation;
  readonly checkpoint: Checkpoint;
  readonly format: StoredFormat | null;
  /** What of the family's style the files do in another way. */
  readonly style: Partial<ModelStyle>;
}

/** Reads everything but tensors. Throws a ModelError when there is nothing at the path; else reports what is wrong. */
export async function readSource(path: string, problems: Problems): Promise<ModelSource> {
  const file = isGguf(path) && ((await stat(path).catch(() => null))?.isFile() ?? false);
  if (!file && !(await isFolder(path))) {
    problems.add(
      'expected a checkpoint folder or a .gguf file; there is none at this path (models of the Hub are named ORG/NAME)',
    );
  }
  problems.throwIfAny(path);
  return file ? readGgufSource(path, problems) : readFolder(path, problems);
}

async function readFolder(folder: string, problems: Problems): Promise<ModelSource> {
  const inFile = (name: string) => (problem: string) => problems.add(`${name}: ${problem}`);
  const read = (name: string) => readJsonFile(folder, name, inFile(name));
  const file = await read('config.json');
  const params = await read('params.json');
  if (file === 'absent' && params !== 'absent') {
    return readMistralFolder(folder, typeof params === 'object' ? params : {}, problems);
  }
  if (file === 'absent') inFile('config.json')('no such file');
  const generationFile = await read('generation_config.json');
  const generation = readGeneration(
    typeof generationFile === 'object' ? generationFile : {},
    inFile('generation_config.json'),
  );
  const found = await readCheckpoint(folder, problems);
  const both = 'params.json is there too: the model is read from config.json and its files, not from those of Mistral';
  const checkpoint = params === 'absent' ? found : { ...found, warnings: [...found.warnings, both] };
  const optimizer = await read('hf_quant_config.json');
  const config = typeof file === 'object' ? file : null;
  return {
    directory: folder,
    name: nameOf(folder),
    config,
    generation,
    checkpoint,
    format: config && readQuantisation(config, typeof optimizer === 'object' ? optimizer : null, inFile('config.json')),
    style: {},
  };
}

/** Mistral's own layout: params.json and consolidated files, whose queries and keys rotate in neighbouring pairs. */
async function readMistralFolder(
  folder: string,
  params: Readonly<Record<string, unknown>>,
  problems: Problems,
): Promise<ModelSource> {
  const report = (problem: string) => problems.add(`params.json: ${problem}`);
  const config = mistralConfig(params, report);
  const checkpoint = await readCheckpoint(folder, problems, consolidatedFiles);
  return {
    directory: folder,
    name: nameOf(folder),
    config,
    generation: readGeneration({}, report),
    checkpoint: renameMistralTensors(checkpoint, config['model_type']),
    format: readQuantisation(config, null, report),
    style: { ropeLayout: 'interleaved' },
  };
}

async function readGgufSource(path: string, problems: Problems): Promise<ModelSource> {
  const found = await readGguf(path, problems);
  problems.throwIfAny(path);
  if (found === null) throw new Error(`${path}: refused without a reason`);
  const directory = dirname(path);
  const longrope = await readLongrope(found.checkpoint, directory, problems);
  const read = readGgufConfig(found.metadata, found.checkpoint.tensors, longrope, problems);
  return {
    directory,
    name: basename(path).replace(/(-\d{5}-of-\d{5})?\.gguf$/, ''),
    config: read?.config ?? null,
    generation: readGeneration({}, () => undefined),
    checkpoint: read === null ? found.checkpoint : renameTensors(found.checkpoint, read.names),
    format: blockFormat,
    style: read?.style ?? {},
  };
}
