/** From ggml's names of tensors to those that families know, experts one by one. */
import type { Checkpoint, CheckpointTensor } from '../checkpoint/checkpoint.ts';

const global: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  output: 'lm_head',
};

const inLayer: Readonly<Record<string, string>> = {
  attn_norm: 'input_layernorm',
  ffn_norm: 'post_attention_layernorm',
  attn_q: 'self_attn.q_proj',
  attn_k: 'self_attn.k_proj',
  attn_v: 'self_attn.v_proj',
  attn_output: 'self_attn.o_proj',
  attn_q_norm: 'self_attn.q_norm',
  attn_k_norm: 'self_attn.k_norm',
  ffn_gate: 'mlp.gate_proj',
  ffn_up: 'mlp.up_proj',
  ffn_down: 'mlp.down_proj',
  ffn_gate_shexp: 'mlp.shared_expert.gate_proj',
  ffn_up_shexp: 'mlp.shared_expert.up_proj',
  ffn_down_shexp: 'mlp.shared_expert.down_proj',
  ffn_gate_inp_shexp: 'mlp.shared_expert_gate',
};

/** Names of a layer's experts and gate. */
export interface ExpertNames {
  readonly gate: string;
  /** Of expert `{}`. */
  readonly ffn_gate_exps: string;
  readonly ffn_up_exps: string;
  readonly ffn_down_exps: string;
}

export const plainExperts: ExpertNames = {
  gate: 'mlp.gate',
  ffn_gate_exps: 'mlp.experts.{}.gate_proj',
  ffn_up_exps: 'mlp.experts.{}.up_proj',
  ffn_down_exps: 'mlp.experts.{}.down_proj',
};

export const numberedExperts: ExpertNames = {
  gate: 'block_sparse_moe.gate',
  ffn_gate_exps: 'block_sparse_moe.experts.{}.w1',
  ffn_up_exps: 'block_sparse_moe.experts.{}.w3',
  ffn_down_exps: 'block_sparse_moe.experts.{}.w2',
};

/** The checkpoint by the names of a family. Names that are not known stay as they are. */
export function renameTensors(checkpoint: Checkpoint, experts: ExpertNames): Checkpoint {
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    for (const [own, part] of renamed(name, tensor, experts)) tensors.set(own, part);
  }
  return { ...checkpoint, tensors };
}

function renamed(name: string, tensor: CheckpointTensor, experts: ExpertNames): readonly [string, CheckpointTensor][] {
  const [, layer, part = '', kind = ''] = /^(?:blk\.(\d+)\.)?(\w+)\.(weight|bias)$/.exec(name) ?? [];
  if (layer === undefined) return [[Object.hasOwn(global, part) ? `${global[part]}.${kind}` : name, tensor]];
  const prefix = `model.layers.${layer}.`;
  if (part === 'ffn_gate_inp') return [[`${prefix}${experts.gate}.${kind}`, tensor]];
  if (part === 'ffn_gate_exps' || part === 'ffn_up_exps' || part === 'ffn_down_exps') {
    const [count = 0, ...shape] = tensor.shape;
    const bytes = tensor.bytes / count;
    return Array.from({ length: count }, (_, id) => [
      `${prefix}${experts[part].replace('{}', String(id))}.${kind}`,
      { ...tensor, shape, bytes, offset: tensor.offset + id * bytes },
    ]);
  }
  const own = inLayer[part];
  // A matrix of one row is stored as a vector.
  const shape = part === 'ffn_gate_inp_shexp' && tensor.shape.length === 1 ? [1, ...tensor.shape] : tensor.shape;
  return [[own === undefined ? name : `${prefix}${own}.${kind}`, { ...tensor, shape }]];
}
