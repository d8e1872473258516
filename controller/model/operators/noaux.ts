import type { ModelConfig } from '../config/config.ts';
import { type DenseShape, type FfnNames, projections, sharedExpert } from './ffn.ts';
import { type MoeShape, plainMoe, sigmoidGate } from './moe.ts';

type NoauxKeys =
  | 'num_experts'
  | 'num_experts_per_tok'
  | 'moe_intermediate_size'
  | 'n_shared_experts'
  | 'n_group'
  | 'topk_group'
  | 'norm_topk_prob'
  | 'routed_scaling_factor';

/** Where the parts of such experts lie. */
interface NoauxNames {
  /** Below the layer. */
  readonly path: string;
  /** Below the path. */
  readonly correction: string;
  readonly gate: string;
  readonly shared: string;
  /** Of an expert's matrices. */
  readonly experts: FfnNames;
}

/** Defaults of the keys that most families have in common. */
export const noauxDefaults = { n_group: 1, topk_group: 1, norm_topk_prob: true } as const;

/**
 * Experts that are balanced by a correction of their scores instead of a loss (DeepSeek-V3), and a shared expert as wide as
 * several of them.
 */
export function noauxExperts(
  config: Pick<ModelConfig, NoauxKeys>,
  given: Partial<NoauxNames> = {},
): readonly [MoeShape, ...DenseShape[]] {
  const { num_experts: experts, moe_intermediate_size: intermediate, n_shared_experts: shared } = config;
  const { path = 'mlp', gate: name = 'gate', experts: names = projections } = given;
  const { correction = 'gate.e_score_correction_bias', shared: sharedPath = 'shared_experts' } = given;
  const gate = sigmoidGate(correction, experts, {
    name,
    renormalise: config.norm_topk_prob,
    smallestSum: 1e-20,
    multiplier: config.routed_scaling_factor ?? 1,
    groups: { count: config.n_group ?? 1, kept: config.topk_group ?? 1, byTwo: true },
  });
  const routed = { ...plainMoe, path, names, experts, topK: config.num_experts_per_tok, intermediate, gate };
  return shared > 0 ? [routed, sharedExpert(`${path}.${sharedPath}`, intermediate * shared)] : [routed];
}
