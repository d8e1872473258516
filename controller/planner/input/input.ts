import type { ModelSpec, PlacementPlan } from '../../../proto/messages.ts';
import type { WeightsFormat } from '../../../proto/weights-formats.ts';

/** What the planner needs to know of a worker: the fields of its announcement that bear on placement. */
export interface PlannerWorker {
  readonly id: string;
  /** host:port of its gRPC services. */
  readonly address: string;
  /** Machine it runs on. */
  readonly node: string;
  /** "stage", "expert" or both. */
  readonly roles: readonly string[];
  /** Bytes that weights and caches may take. */
  readonly memoryBytes: number;
  /** Threads that compute. */
  readonly cores: number;
  /** "cpu", or the id of a GPU such as "cuda:0". */
  readonly device: string;
  /** Formats that it can keep weights in. Absent or empty: all. */
  readonly weightsFormats?: readonly string[];
}

/** Rows per second (or any other common unit) that each expert of a layer was asked for. */
export interface ExpertLoad {
  readonly layer: number;
  /** [experts]. */
  readonly expertRows: readonly number[];
}

/** How operators want the model to be split. Null: the planner chooses. */
export interface LayoutConstraints {
  /** Ranks per stage. */
  readonly tensorParallelSize: number | null;
  /** Stages per pipeline. */
  readonly pipelineParallelSize: number | null;
  /** Slices per expert. */
  readonly expertTensorParallelSize: number | null;
  /** Independent pipelines. */
  readonly pipelines: number;
}

export interface PlanConstraints {
  readonly layout: LayoutConstraints;
  /** Replicas of every expert unless overridden; ≥ 1. */
  readonly defaultReplicas: number;
  readonly overrides: readonly { readonly layer: number; readonly expert: number; readonly replicas: number }[];
  /**
   * Extra slots for the experts with the most load, as a fraction of a layer's experts; 0: none. They are given where nothing is
   * placed yet and by `rebalance`. An expert with an override gets none.
   */
  readonly redundancy: number;
  /** Ids of workers that must hold nothing. */
  readonly draining: readonly string[];
  /** Ids of workers that keep what the plan before gives them and get nothing new. */
  readonly cordoned: readonly string[];
  /** Cache blocks that every rank of a pipeline makes room for. */
  readonly kvBlocks: number;
  /** Positions per cache block. */
  readonly blockSize: number;
  /** Sequences whose states of fixed size every rank of a pipeline keeps; 0 for a model without such states. */
  readonly stateSlots: number;
}

/** One replica of everything, one pipeline, the layout left to the planner. */
export const defaultConstraints: PlanConstraints = {
  layout: { tensorParallelSize: null, pipelineParallelSize: null, expertTensorParallelSize: null, pipelines: 1 },
  defaultReplicas: 1,
  overrides: [],
  redundancy: 0,
  draining: [],
  cordoned: [],
  kvBlocks: 0,
  blockSize: 16,
  stateSlots: 0,
};

/** What a plan may do for the sake of load alone. */
export interface RebalanceBudget {
  /** Layers whose load asks for it. */
  readonly layers: readonly number[];
  /** Most slots to load. */
  readonly loads: number;
}

export interface PlanInput {
  readonly spec: ModelSpec;
  /** "auto" counts the bytes of the checkpoint's own encoding. */
  readonly weights: WeightsFormat | 'auto';
  readonly workers: readonly PlannerWorker[];
  /** Null while nothing is known: all experts count the same, and there are no extra replicas of hot ones. */
  readonly load: readonly ExpertLoad[] | null;
  readonly constraints: PlanConstraints;
  /** Absent: what is placed stays, but for what workers and constraints ask for. */
  readonly rebalance?: RebalanceBudget;
  /** Revision of the constraints as operators set them; 0 before they did. */
  readonly constraintsRevision: number;
  /** Term of the leader that plans. */
  readonly term: number;
  readonly previous: PlacementPlan | null;
  /** Why a plan is made now, for people. */
  readonly reason: string;
}

export type PlanResult =
  | {
      readonly kind: 'planned';
      /** The previous plan itself when nothing changes, else a plan with the next epoch. Layers with new slices have no checksums. */
      readonly plan: PlacementPlan;
      /** What the constraints ask for and the plan does not give, for people. */
      readonly shortfalls: readonly string[];
    }
  | {
      readonly kind: 'infeasible';
      /** Everything that is wrong or missing, with amounts. */
      readonly problems: readonly string[];
    };
