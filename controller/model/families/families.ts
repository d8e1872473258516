import { quote } from '../config/problems.ts';
import { afmoe } from './afmoe.ts';
import { cohere, cohere2 } from './cohere.ts';
import { dots1 } from './dots1.ts';
import { ernie45Moe } from './ernie4-5-moe.ts';
import { exaoneMoe } from './exaone-moe.ts';
import type { Family } from './family.ts';
import { gemma2, gemma3 } from './gemma.ts';
import { glm4Moe } from './glm4-moe.ts';
import { gptOss } from './gpt-oss.ts';
import { granitemoe, granitemoeSwa, granitemoeshared } from './granitemoe.ts';
import { hunyuanV1Moe } from './hunyuan-v1-moe.ts';
import { hyV3 } from './hy-v3.ts';
import { llama } from './llama.ts';
import { llama4 } from './llama4.ts';
import { minimaxM2 } from './minimax-m2.ts';
import { mistral } from './mistral.ts';
import { mixtral } from './mixtral.ts';
import { olmoe } from './olmoe.ts';
import { phimoe } from './phimoe.ts';
import { qwen2 } from './qwen2.ts';
import { qwen2Moe } from './qwen2-moe.ts';
import { qwen3 } from './qwen3.ts';
import { qwen3Moe } from './qwen3-moe.ts';
import { ministral3, seedOss, smollm3 } from './small-dense.ts';
import { solarOpen } from './solar-open.ts';

/** Every family that can be compiled. */
const families: readonly Family[] = [
  mixtral,
  qwen2Moe,
  qwen3Moe,
  olmoe,
  granitemoe,
  granitemoeshared,
  granitemoeSwa,
  phimoe,
  ernie45Moe,
  glm4Moe,
  minimaxM2,
  hunyuanV1Moe,
  hyV3,
  dots1,
  exaoneMoe,
  solarOpen,
  afmoe,
  gptOss,
  llama4,
  llama,
  mistral,
  qwen2,
  qwen3,
  gemma2,
  gemma3,
  cohere,
  cohere2,
  seedOss,
  smollm3,
  ministral3,
];

/** The family of a parsed config.json, by `model_type` or else by `architectures`; reports what is unknown and returns null. */
export function findFamily(file: Readonly<Record<string, unknown>>, report: (problem: string) => void): Family | null {
  const { model_type: modelType, architectures } = file;
  const named = Array.isArray(architectures) ? architectures.map((name) => String(name).toLowerCase()) : [];
  const found =
    modelType == null
      ? families.find((family) => named.includes(family.architecture.toLowerCase()))
      : families.find((family) => family.modelType === modelType);
  if (found !== undefined) return found;
  const given =
    modelType == null ? `architectures is ${quote(architectures ?? null)}` : `model_type is ${quote(modelType)}`;
  report(`${given}; supported: ${families.map((family) => family.modelType).join(', ')}`);
  return null;
}
