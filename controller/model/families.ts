import { quote } from './config/problems.ts';
import { cohere, cohere2 } from './families/dense/cohere.ts';
import { exaone4 } from './families/dense/exaone4.ts';
import { gemma, gemma2, gemma3 } from './families/dense/gemma.ts';
import { gemma4 } from './families/dense/gemma4.ts';
import { glm, glm4 } from './families/dense/glm.ts';
import { granite } from './families/dense/granite.ts';
import { llama } from './families/dense/llama.ts';
import { mistral } from './families/dense/mistral.ts';
import { olmo2, olmo3 } from './families/dense/olmo.ts';
import { phi3 } from './families/dense/phi3.ts';
import { qwen2 } from './families/dense/qwen2.ts';
import { qwen3, qwen3VlText } from './families/dense/qwen3.ts';
import { arcee, ernie45, ministral3, seedOss, smollm3 } from './families/dense/small-dense.ts';
import type { Family } from './families/family.ts';
import { bailingHybrid } from './families/hybrid/bailing-hybrid.ts';
import { granitemoehybrid } from './families/hybrid/granitemoehybrid.ts';
import { jamba } from './families/hybrid/jamba.ts';
import { kimiLinear } from './families/hybrid/kimi-linear.ts';
import { lfm2 } from './families/hybrid/lfm2.ts';
import { lfm2Moe } from './families/hybrid/lfm2-moe.ts';
import { nemotronH } from './families/hybrid/nemotron-h.ts';
import { qwen3Next, qwen35, qwen35Moe } from './families/hybrid/qwen3-next.ts';
import { deepseekV2 } from './families/latent/deepseek-v2.ts';
import { deepseekV3, glm4MoeLite, kimiK2 } from './families/latent/deepseek-v3.ts';
import { deepseekV4 } from './families/latent/deepseek-v4.ts';
import { longcatFlash } from './families/latent/longcat-flash.ts';
import { mistral4 } from './families/latent/mistral4.ts';
import { deepseekV32, glmMoeDsa } from './families/latent/sparse.ts';
import { cohere2Moe } from './families/moe/cohere2-moe.ts';
import { dbrx } from './families/moe/dbrx.ts';
import { ernie45Moe } from './families/moe/ernie4-5-moe.ts';
import { flexOlmo } from './families/moe/flex-olmo.ts';
import { gptOss } from './families/moe/gpt-oss.ts';
import { granitemoe, granitemoeSwa, granitemoeshared } from './families/moe/granitemoe.ts';
import { hunyuanV1Dense, hunyuanV1Moe } from './families/moe/hunyuan-v1-moe.ts';
import { llama4 } from './families/moe/llama4.ts';
import { mixtral } from './families/moe/mixtral.ts';
import { olmoe } from './families/moe/olmoe.ts';
import { phimoe } from './families/moe/phimoe.ts';
import { qwen2Moe } from './families/moe/qwen2-moe.ts';
import { qwen3Moe, qwen3VlMoeText } from './families/moe/qwen3-moe.ts';
import { afmoe } from './families/noaux/afmoe.ts';
import { dots1 } from './families/noaux/dots1.ts';
import { exaoneMoe } from './families/noaux/exaone-moe.ts';
import { glm4Moe } from './families/noaux/glm4-moe.ts';
import { hyV3 } from './families/noaux/hy-v3.ts';
import { laguna } from './families/noaux/laguna.ts';
import { mimoV2Flash } from './families/noaux/mimo-v2-flash.ts';
import { minimaxM2 } from './families/noaux/minimax-m2.ts';
import { minimaxM3 } from './families/noaux/minimax-m3.ts';
import { solarOpen } from './families/noaux/solar-open.ts';

/** Every family that can be compiled. */
const families: readonly Family[] = [
  mixtral,
  qwen2Moe,
  qwen3Moe,
  qwen3VlMoeText,
  olmoe,
  flexOlmo,
  granitemoe,
  granitemoeshared,
  granitemoeSwa,
  phimoe,
  ernie45Moe,
  glm4Moe,
  minimaxM2,
  minimaxM3,
  mimoV2Flash,
  laguna,
  hunyuanV1Moe,
  hyV3,
  dots1,
  exaoneMoe,
  solarOpen,
  afmoe,
  gptOss,
  dbrx,
  cohere2Moe,
  llama4,
  deepseekV2,
  deepseekV3,
  kimiK2,
  glm4MoeLite,
  deepseekV32,
  deepseekV4,
  glmMoeDsa,
  mistral4,
  longcatFlash,
  granitemoehybrid,
  kimiLinear,
  bailingHybrid,
  nemotronH,
  lfm2Moe,
  jamba,
  qwen3Next,
  qwen35Moe,
  qwen35,
  llama,
  mistral,
  qwen2,
  qwen3,
  qwen3VlText,
  gemma,
  gemma2,
  gemma3,
  gemma4,
  cohere,
  cohere2,
  olmo2,
  olmo3,
  phi3,
  seedOss,
  smollm3,
  ministral3,
  granite,
  glm,
  glm4,
  exaone4,
  ernie45,
  hunyuanV1Dense,
  arcee,
  lfm2,
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
