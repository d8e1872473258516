/** Models that take more than text: their configuration holds that of the text model, which is what is served. */
import { isObject } from './json.ts';
import { quote } from './problems.ts';

type File = Readonly<Record<string, unknown>>;

/** The text model of each, where its own configuration does not name it. */
const textModels: Readonly<Record<string, string>> = {
  gemma3: 'gemma3_text',
  gemma4: 'gemma4_text',
  kimi_k25: 'kimi_k2',
  kimi_vl: 'deepseek_v3',
  llama4: 'llama4_text',
  minimax_m3_vl: 'minimax_m3_vl_text',
  mistral3: 'mistral',
  qwen3_5: 'qwen3_5_text',
  qwen3_5_moe: 'qwen3_5_moe_text',
  qwen3_vl: 'qwen3_vl_text',
  qwen3_vl_moe: 'qwen3_vl_moe_text',
};

/** Whether a configuration is one of several models of which one is for text. */
export function isComposite({ model_type: modelType }: File): boolean {
  return typeof modelType === 'string' && Object.hasOwn(textModels, modelType);
}

/**
 * The configuration of the text model in a parsed config.json, or the file itself where it is of nothing else; reports what is
 * wrong and returns null. `headStored`: the checkpoint has a head; where no key says so, it is not tied then.
 */
export function textConfigOf(file: File, headStored: boolean, report: (problem: string) => void): File | null {
  if (!isComposite(file)) return file;
  const { text_config: text, model_type: modelType, tie_word_embeddings: tied } = file;
  if (!isObject(text)) {
    report(`text_config is ${quote(text ?? null)}; expected the text model of a ${quote(modelType)}`);
    return null;
  }
  const { tie_word_embeddings: ownTied } = text;
  if (tied != null && ownTied != null && tied !== ownTied) {
    report(
      `tie_word_embeddings is ${quote(tied)}, text_config.tie_word_embeddings is ${quote(ownTied)}; they mean the same`,
    );
    return null;
  }
  return {
    ...text,
    model_type: text['model_type'] ?? textModels[String(modelType)],
    tie_word_embeddings: tied ?? ownTied ?? !headStored,
    bos_token_id: file['bos_token_id'] ?? text['bos_token_id'],
    eos_token_id: file['eos_token_id'] ?? text['eos_token_id'],
    quantization_config: file['quantization_config'] ?? text['quantization_config'],
  };
}
