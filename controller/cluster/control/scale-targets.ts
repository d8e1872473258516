import { status } from '@grpc/grpc-js';
import type { ClusterConstraints__Output as ClusterConstraints } from '../../../proto/generated/conclave/v1/ClusterConstraints.ts';
import type { ExpertId__Output as ExpertId } from '../../../proto/generated/conclave/v1/ExpertId.ts';
import type { ScaleRequest__Output as ScaleRequest } from '../../../proto/generated/conclave/v1/ScaleRequest.ts';
import type { ModelSpec } from '../../../proto/messages.ts';
import { expertCount } from '../../../proto/model/operators.ts';
import type { ExpertLoadBook } from '../load/expert-load.ts';
import { ControlError } from './control-error.ts';

/** The experts that a request to scale names; null: every expert. Throws a ControlError. */
export function scaleTargets(
  request: ScaleRequest,
  { spec, load }: { readonly spec: ModelSpec; readonly load: ExpertLoadBook },
): readonly ExpertId[] | null {
  if (request.target === 'expert' && request.expert) {
    const { layer, expert } = request.expert;
    const experts = expertCount(spec.layers[layer]);
    if (experts === 0) {
      throw new ControlError(
        status.INVALID_ARGUMENT,
        `layer: expected a mixture-of-experts layer below ${spec.layers.length}, got ${layer}`,
      );
    }
    if (expert >= experts) {
      throw new ControlError(
        status.INVALID_ARGUMENT,
        `expert: layer ${layer} has experts 0 to ${experts - 1}, got ${expert}`,
      );
    }
    return [{ layer, expert }];
  }
  if (request.target === 'hot') {
    const count = request.hot ?? 0;
    const all = spec.layers.reduce((sum, layer) => sum + expertCount(layer), 0);
    if (count < 1 || count > all) {
      throw new ControlError(
        status.INVALID_ARGUMENT,
        `hot: expected 1 to ${all}, the experts of the model, got ${count}`,
      );
    }
    const hottest = load.hottest(count);
    if (hottest.length === 0) throw new ControlError(status.FAILED_PRECONDITION, 'hot: no load was measured yet');
    if (hottest.length < count) {
      throw new ControlError(
        status.FAILED_PRECONDITION,
        `hot: only ${hottest.length} of the ${all} experts were asked for anything lately, got ${count}`,
      );
    }
    return hottest;
  }
  if (request.target === 'all' && request.all) return null;
  throw new ControlError(
    status.INVALID_ARGUMENT,
    'target: expected all, an expert or a count of hot ones, got nothing',
  );
}

/** Replicas asked for so far: "1", or "1 to 3". */
export function replicasBefore(now: ClusterConstraints, experts: readonly ExpertId[], defaultReplicas: number): string {
  const counts = experts.map(
    ({ layer, expert }) =>
      now.overrides.find((override) => override.experts.some((id) => id.layer === layer && id.expert === expert))
        ?.replicas ??
      (now.defaultReplicas || defaultReplicas),
  );
  const [least, most] = [Math.min(...counts), Math.max(...counts)];
  return least === most ? String(least) : `${least} to ${most}`;
}
