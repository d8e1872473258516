import { isObject } from '../../config/json.ts';
import { plainAttention } from '../../operators/gqa.ts';
import { plainMoe, softmaxGate } from '../../operators/moe.ts';
import { type ConfigFile, defineFamily } from '../family.ts';

/** The keys under the names that other families give them. */
function translate(file: ConfigFile): ConfigFile {
  const group = (key: string): ConfigFile => (isObject(file[key]) ? file[key] : {});
  const [attention, ffn] = [group('attn_config'), group('ffn_config')];
  const { name: activation } = isObject(ffn['ffn_act_fn']) ? ffn['ffn_act_fn'] : {};
  return {
    ...file,
    hidden_size: file['d_model'],
    num_attention_heads: file['n_heads'],
    num_hidden_layers: file['n_layers'],
    max_position_embeddings: file['max_seq_len'],
    num_key_value_heads: attention['kv_n_heads'],
    clip_qkv: attention['clip_qkv'],
    rope_theta: attention['rope_theta'],
    intermediate_size: ffn['ffn_hidden_size'],
    num_experts: ffn['moe_num_experts'],
    num_experts_per_tok: ffn['moe_top_k'],
    moe_normalize_expert_weights: ffn['moe_normalize_expert_weights'],
    hidden_act: activation,
  };
}

/** Layer norms, one matrix for queries, keys and values, and experts whose matrices lie one behind the other. */
export const dbrx = defineFamily({
  modelType: 'dbrx',
  architecture: 'DbrxForCausalLM',
  translate,
  defaults: {
    vocab_size: 32_000,
    hidden_size: 2048,
    intermediate_size: 3584,
    num_hidden_layers: 24,
    num_attention_heads: 16,
    num_key_value_heads: 1,
    head_dim: null,
    hidden_act: 'silu',
    max_position_embeddings: 2048,
    rms_norm_eps: 1e-5,
    tie_word_embeddings: false,
    rope_theta: 10_000,
    bos_token_id: null,
    eos_token_id: null,
    clip_qkv: null,
    num_experts: 4,
    num_experts_per_tok: 1,
    moe_normalize_expert_weights: 1,
  },
  style: () => ({
    norm: { kind: 'layer', weightOffset: 0, bias: false },
    names: {
      embedding: 'transformer.wte',
      layers: 'transformer.blocks',
      finalNorm: 'transformer.norm_f',
      head: 'lm_head',
    },
  }),
  layer: (config) => [
    {
      preNorm: 'norm_attn_norm.norm_1',
      operators: [
        {
          ...plainAttention,
          path: 'norm_attn_norm.attn',
          fused: 'Wqkv',
          outputName: 'out_proj',
          clip: config.clip_qkv ?? 0,
        },
      ],
    },
    {
      preNorm: 'norm_attn_norm.norm_2',
      operators: [
        {
          ...plainMoe,
          path: 'ffn',
          storage: 'rows',
          names: { gate: 'experts.mlp.w1', up: 'experts.mlp.v1', down: 'experts.mlp.w2' },
          experts: config.num_experts,
          topK: config.num_experts_per_tok,
          intermediate: config.intermediate_size,
          gate: { ...softmaxGate(config.moe_normalize_expert_weights !== null), name: 'router.layer' },
        },
      ],
    },
  ],
});
