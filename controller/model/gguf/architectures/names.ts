/** From ggml's names of tensors to those that families know, experts one by one. */
import type { Checkpoint, CheckpointTensor } from '../../checkpoint/checkpoint.ts';

const global: Readonly<Record<string, string>> = {
  token_embd: 'model.embed_tokens',
  output_norm: 'model.norm',
  // As the hybrids of Liquid have it.
  token_embd_norm: 'model.norm',
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

/** Names of a layer's gate and experts. */
export interface ExpertNames {
  readonly gate: string;
  /** Below it, or below the layer where it is empty, lie experts by number, each with matrices of these names. */
  readonly path: string;
  readonly ffn_gate_exps: string;
  readonly ffn_up_exps: string;
  readonly ffn_down_exps: string;
}

export const plainExperts: ExpertNames = {
  gate: 'mlp.gate',
  path: 'mlp',
  ffn_gate_exps: 'gate_proj',
  ffn_up_exps: 'up_proj',
  ffn_down_exps: 'down_proj',
};

export const numberedExperts: ExpertNames = {
  gate: 'block_sparse_moe.gate',
  path: 'block_sparse_moe',
  ffn_gate_exps: 'w1',
  ffn_up_exps: 'w3',
  ffn_down_exps: 'w2',
};

/** Where tensors of an architecture lie in its family. */
export interface TensorNames {
  readonly experts: ExpertNames;
  /** Of a layer, where they differ from what is usual: name, or name and kind, to the family's. */
  readonly inLayer: Readonly<Record<string, string>>;
  readonly layers: number;
  /** Layers behind these that only draft, whose tensors are left out. */
  readonly drafting: number;
}

/** The checkpoint by the names of a family. Names that are not known stay as they are. */
export function renameTensors(checkpoint: Checkpoint, names: TensorNames): Checkpoint {
  const tensors = new Map<string, CheckpointTensor>();
  for (const [name, tensor] of checkpoint.tensors) {
    for (const [own, part] of renamed(name, tensor, names)) tensors.set(own, part);
  }
  return { ...checkpoint, tensors };
}

type Named = readonly [string, CheckpointTensor];

function renamed(name: string, tensor: CheckpointTensor, names: TensorNames): readonly Named[] {
  const [, layer, part = '', kind] = /^(?:blk\.(\d+)\.)?([\w.]+?)(?:\.(weight|bias))?$/.exec(name) ?? [];
  const end = kind === undefined ? '' : `.${kind}`;
  if (layer === undefined) return [[Object.hasOwn(global, part) ? `${global[part]}${end}` : name, tensor]];
  const prefix = `model.layers.${layer}.`;
  const { experts, inLayer: own, layers, drafting } = names;
  if (Number(layer) >= layers && Number(layer) < layers + drafting) return [];
  const whole = own[`${part}${end}`];
  if (end !== '' && whole !== undefined) return [[`${prefix}${whole}`, tensor]];
  if (part === 'ffn_gate_inp') return [[`${prefix}${experts.gate}${end}`, tensor]];
  const expertPath = `${prefix}${experts.path === '' ? '' : `${experts.path}.`}experts`;
  if (part === 'ffn_gate_up_exps') {
    return expertsOf(tensor, 2).map(([index, matrix]): Named => {
      const matrixName = index % 2 === 0 ? experts.ffn_gate_exps : experts.ffn_up_exps;
      return [`${expertPath}.${Math.floor(index / 2)}.${matrixName}${end}`, matrix];
    });
  }
  if (part === 'ffn_gate_exps' || part === 'ffn_up_exps' || part === 'ffn_down_exps') {
    return expertsOf(tensor, 1).map(([id, matrix]) => [`${expertPath}.${id}.${experts[part]}${end}`, matrix]);
  }
  const known = own[part] ?? (Object.hasOwn(inLayer, part) ? inLayer[part] : undefined);
  return [[known === undefined ? name : `${prefix}${known}${end}`, { ...tensor, shape: shapeOf(part, tensor.shape) }]];
}

/** How families store what ggml stores with more or fewer dimensions. */
function shapeOf(part: string, shape: readonly number[]): readonly number[] {
  const elements = shape.reduce((product, length) => product * length, 1);
  const cols = shape.at(-1) ?? 1;
  // A matrix of one row.
  if (part === 'ffn_gate_inp_shexp') return shape.length === 1 ? [1, ...shape] : shape;
  // Matrices of all heads.
  if (part === 'attn_k_b' || part === 'attn_v_b') return [elements / cols, cols];
  if (part.startsWith('ssm_conv1d') || part === 'shortconv.conv') {
    return shape.length === 1 ? shape : [elements / cols, 1, cols];
  }
  if (part === 'ssm_norm') return [elements];
  return (part === 'ssm_a' || part === 'ssm_d') && shape.length === 2 && cols === 1 ? [elements] : shape;
}

/** The tensors of all experts, by number, each cut into `parts` of as many rows. */
function expertsOf(tensor: CheckpointTensor, parts: number): (readonly [number, CheckpointTensor])[] {
  const [count = 0, rows = 0, ...rest] = tensor.shape;
  const bytes = tensor.bytes / count / parts;
  const shape = [rows / parts, ...rest];
  return Array.from({ length: count * parts }, (_, index) => [
    index,
    { ...tensor, shape, bytes, offset: tensor.offset + index * bytes },
  ]);
}
