import type { MoEModel } from '../resources/moe-model.ts';
import { modelFolder } from './pod-template.ts';

/** A flag that a MoEModel asks controllers to run with, by name, with the field that asks. */
export interface AskedFlag {
  readonly name: string;
  readonly value: string;
  readonly path: string;
}

/** What controllers read of a MoEModel when they start. Options that are workers' alone are among it. */
export function askedFlags(model: MoEModel): readonly AskedFlag[] {
  const { weights, contextLength, layout, expertReplicas, options } = model.spec;
  const fields: readonly (readonly [string, string | number | null | undefined, string])[] = [
    ['model', modelFolder(model), 'spec.source'],
    ['weights', weights, 'spec.weights'],
    ['max-model-len', contextLength, 'spec.contextLength'],
    ['pipelines', layout.pipelines, 'spec.layout.pipelines'],
    ['tensor-parallel-size', layout.tensorParallelSize, 'spec.layout.tensorParallelSize'],
    ['pipeline-parallel-size', layout.pipelineParallelSize, 'spec.layout.pipelineParallelSize'],
    ['expert-tensor-parallel-size', layout.expertTensorParallelSize, 'spec.layout.expertTensorParallelSize'],
    ['expert-replicas', expertReplicas, 'spec.expertReplicas'],
  ];
  return [
    ...Object.entries(options).map(([name, value]) => ({ name, value, path: `spec.options.${name}` })),
    ...fields.flatMap(([name, value, path]) => {
      return value === null || value === undefined ? [] : [{ name, value: String(value), path }];
    }),
  ];
}
