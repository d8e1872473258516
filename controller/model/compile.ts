/** Compiles a checkpoint to the specification that the engine executes. Reads no weights. */
import { resolve } from 'node:path';
import type { ModelSpec } from '../../proto/messages.ts';
import type { Checkpoint } from './checkpoint/checkpoint.ts';
import { digestModel } from './checkpoint/digest.ts';
import type { StoredFormat } from './checkpoint/stored-format.ts';
import { TensorTable } from './checkpoint/tensors.ts';
import { textPartOf } from './checkpoint/text-part.ts';
import { isComposite, textConfigOf } from './config/composite.ts';
import type { ModelConfig } from './config/config.ts';
import { type Dimensions, deriveDimensions } from './config/dimensions.ts';
import { isObject } from './config/json.ts';
import { Problems, quote } from './config/problems.ts';
import { resolveRopes } from './config/rope.ts';
import type { ConfiguredFamily } from './families/family.ts';
import { findFamily } from './families.ts';
import { type Generation, readGeneration } from './generation.ts';
import { divideRopes, ropeTensors } from './gguf/rope-factors.ts';
import { type ModelReport, reportModel } from './report.ts';
import { readSource } from './source.ts';
import { buildSpec, type WeightSpecs } from './spec.ts';

export interface CompiledModel {
  /** The folder that the model's files lie in, absolute. */
  readonly directory: string;
  readonly spec: ModelSpec;
  readonly report: ModelReport;
  /** The tokens that end a sequence, once for each file that names them. */
  readonly endTokens: readonly EndToken[];
  /** What is odd about the checkpoint and no obstacle. */
  readonly warnings: readonly string[];
}

export interface EndToken {
  readonly id: number;
  /** Where it is named, such as "config.json". */
  readonly source: string;
}

export interface CompileOptions {
  /** Name of the model; unless given the folder's, or for a snapshot in Hugging Face's cache the repository's. */
  readonly name?: string;
}

/**
 * Compiles the checkpoint at `directory`, a folder or a GGUF file. Throws a ModelError that lists everything that is wrong with it, and what was
 * expected instead.
 */
export async function compileModel(directory: string, options: CompileOptions = {}): Promise<CompiledModel> {
  const path = resolve(directory);
  const problems = new Problems();
  const source = await readSource(path, problems);
  const { config: whole } = source;
  const inConfig = (problem: string) => problems.add(`config.json: ${problem}`);
  const checkpoint = whole && isComposite(whole) ? textPartOf(source.checkpoint) : source.checkpoint;
  const json = whole && textConfigOf(whole, checkpoint.tensors.has('lm_head.weight'), inConfig);
  const family = json && findFamily(json, inConfig);
  const configured = json && family && family.configure(json, inConfig);
  const model = configured && { ...configured, style: { ...configured.style, ...source.style } };
  const dimensions = model && deriveDimensions(model.config, inConfig);
  const ropes = json && dimensions && resolveRopes(model.file, model, dimensions.headDim, inConfig);
  const weights = dimensions && claimWeights(model, dimensions, checkpoint, source.format, problems);
  const ends = model && chooseEnds(model.config, whole?.['text_config'], source.generation, problems);
  const ropeSpecs = await divideRopes(ropes?.map(({ spec }) => spec) ?? [], checkpoint, source.directory, problems);
  problems.throwIfAny(path);
  if (!(family && model && ropes && weights && ends)) throw new Error(`${path}: refused without a reason`);

  const { bosTokenId, endTokens } = ends;
  const eosTokenIds = [...new Set(endTokens.map(({ id }) => id))];
  const configuration = {
    modelType: family.modelType,
    config: model.config,
    ropes: ropes.map(({ parameters }) => parameters),
    bosTokenId,
    eosTokenIds,
  };
  const spec: ModelSpec = {
    name: options.name ?? source.name,
    digest: digestModel(configuration, checkpoint),
    hiddenSize: model.config.hidden_size,
    vocabSize: model.config.vocab_size,
    maxPosition: Math.min(...ropes.map(({ maxPosition }) => maxPosition)),
    files: [...checkpoint.files],
    embeddingMultiplier: Math.fround(model.style.embeddingMultiplier),
    ropes: [...ropeSpecs],
    ...weights,
    logitMultiplier: Math.fround(model.style.logitMultiplier),
    logitSoftcap: Math.fround(model.style.logitSoftcap),
    eosTokenIds,
    ...(bosTokenId !== null && { bosTokenId, _bosTokenId: 'bosTokenId' }),
  };
  return {
    directory: source.directory,
    spec,
    report: reportModel(spec, family.modelType),
    endTokens,
    warnings: checkpoint.warnings,
  };
}

/** In the name of a tensor of one expert: other checkpoints hold those of a layer in one tensor. */
const separateExpert = /\.experts\.\d+\./;
/** More experts than any model has in all its layers. */
const mostStacked = 1_000_000;

/** Finds every weight in the checkpoint; null when that would show nothing, because the files do not fit the model at all. */
function claimWeights(
  model: ConfiguredFamily,
  dimensions: Dimensions,
  checkpoint: Checkpoint,
  format: StoredFormat | null,
  problems: Problems,
): WeightSpecs | null {
  if (!checkpoint.complete) return null;
  const { num_hidden_layers: layers, num_experts: experts = 0, tie_word_embeddings: tied } = model.config;
  // Bounds the work: a configuration can name any number of tensors, a checkpoint has as many as its headers hold.
  const separate =
    experts * layers > mostStacked || [...checkpoint.tensors.keys()].some((name) => separateExpert.test(name));
  const least = layers * (separate ? Math.max(experts, 1) : 1);
  if (least > 2 * checkpoint.tensors.size + 1000) {
    problems.add(
      `config.json: ${layers} layers of ${experts} experts need more than ${least} tensors; the checkpoint has ${checkpoint.tensors.size}`,
    );
    return null;
  }
  const named = new Map([...checkpoint.tensors].map(([name, tensor]) => [model.style.rename(name), tensor]));
  const tensors = new TensorTable({ ...checkpoint, tensors: named }, problems, format);
  const weights = buildSpec(model, dimensions, tensors);
  tensors.reportUnclaimed(
    (name) =>
      name.endsWith('.rotary_emb.inv_freq') ||
      name.startsWith('mtp.') ||
      ropeTensors.has(name) ||
      (tied && name === `${model.style.names.head}.weight`) ||
      model.style.unused(name),
  );
  return weights;
}

interface Ends {
  readonly bosTokenId: number | null;
  readonly endTokens: readonly EndToken[];
}

/** The tokens that begin and end a sequence: generation_config.json's word on the first goes before config.json's. */
function chooseEnds(
  config: Pick<ModelConfig, 'bos_token_id' | 'eos_token_id' | 'vocab_size'>,
  textConfig: unknown,
  generation: Generation,
  problems: Problems,
): Ends {
  const bosTokenId = generation.bosTokenId ?? config.bos_token_id;
  const inner = readGeneration(isObject(textConfig) ? textConfig : {}, (problem) =>
    problems.add(`config.json: text_config.${problem}`),
  );
  const named = {
    'generation_config.json': generation.eosTokenIds,
    'config.json': [config.eos_token_id ?? [], inner.eosTokenIds ?? []].flat(),
  };
  const endTokens = Object.entries(named).flatMap(([source, ids]) =>
    [...new Set(ids ?? [])].map((id): EndToken => ({ id, source })),
  );
  const ids = new Set([...endTokens.map(({ id }) => id), ...(bosTokenId === null ? [] : [bosTokenId])]);
  for (const id of ids) {
    if (id >= config.vocab_size) {
      problems.add(
        `token id ${quote(id)} in bos_token_id or eos_token_id is outside the vocabulary of ${config.vocab_size}`,
      );
    }
  }
  return { bosTokenId, endTokens };
}
