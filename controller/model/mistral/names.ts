/** From the names of tensors in Mistral's own layout to those that families know. */
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts';

const around: Readonly<Record<string, string>> = {
  tok_embeddings: 'model.embed_tokens',
  norm: 'model.norm',
  output: 'lm_head',
};

const inLayer: Readonly<Record<string, string>> = {
  attention_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  'attention.wq': 'self_attn.q_proj',
  'attention.wk': 'self_attn.k_proj',
  'attention.wv': 'self_attn.v_proj',
  'attention.wo': 'self_attn.o_proj',
  'attention.wq_a': 'self_attn.q_a_proj',
  'attention.q_a_norm': 'self_attn.q_a_layernorm',
  'attention.wq_b': 'self_attn.q_b_proj',
  'attention.wkv_a_with_mqa': 'self_attn.kv_a_proj_with_mqa',
  'attention.kv_a_norm': 'self_attn.kv_a_layernorm',
  'attention.wkv_b': 'self_attn.kv_b_proj',
};

const network: Readonly<Record<string, string>> = { w1: 'gate_proj', w2: 'down_proj', w3: 'up_proj' };

/** What lies beside a matrix of codes. */
const ends: Readonly<Record<string, string>> = { qscale_weight: 'weight_scale_inv', qscale_act: 'activation_scale' };

/** The parts that do not take text. */
const others = /^(vision_\w+|patch_merger|pre_mm_projector_norm|mm_\w+|audio_\w+)\./;

/** The checkpoint by the names of a family, without what does not take text, which a warning names. */
export function renameMistralTensors(checkpoint: Checkpoint, family: unknown): Checkpoint {
  const tensors = new Map<string, CheckpointTensor>();
  const leftOut = new Set<string>();
  for (const [name, tensor] of checkpoint.tensors) {
    const other = others.exec(name)?.[1];
    if (other === undefined) tensors.set(renamed(name, family === 'mixtral'), tensor);
    else leftOut.add(other);
  }
  const warning = `${[...leftOut].join(', ')}: left out, as the model is served for text alone`;
  return { ...checkpoint, tensors, warnings: [...checkpoint.warnings, ...(leftOut.size === 0 ? [] : [warning])] };
}

/** Names that are not known stay as they are. */
function renamed(name: string, numbered: boolean): string {
  const [, module = '', kind = ''] = /^(.*)\.(\w+)$/.exec(name) ?? [];
  const end = ends[kind] ?? kind;
  const global = Object.hasOwn(around, module) ? around[module] : undefined;
  if (global !== undefined) return `${global}.${end}`;
  const [, layer, part = ''] = /^layers\.(\d+)\.(.*)$/.exec(module) ?? [];
  if (layer === undefined) return name;
  const own = Object.hasOwn(inLayer, part) ? inLayer[part] : partOfNetwork(part, numbered);
  return own === undefined ? name : `model.layers.${layer}.${own}.${end}`;
}

/** Mixtral's experts keep the names of their matrices. */
function partOfNetwork(part: string, numbered: boolean): string | undefined {
  const path = numbered ? 'block_sparse_moe' : 'mlp';
  const [, group, matrix = ''] =
    /^(?:feed_forward\.)?(?:(shared_experts|experts\.\d+)\.)?(w[123]|gate)$/.exec(part) ?? [];
  if (matrix === '') return undefined;
  if (matrix === 'gate') return group === undefined ? `${path}.gate` : undefined;
  const name = numbered ? matrix : network[matrix];
  return group === undefined ? `${path}.${name}` : `${path}.${group}.${name}`;
}
