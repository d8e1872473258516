/** What the operator knows of the controllers that it is part of. */
export interface Controllers {
  /** Name of the cluster on NATS. */
  readonly cluster: string;
  /** NATS servers, without credentials. */
  readonly natsUrls: readonly string[];
  /** The MoEModel that they serve. */
  readonly model: string;
  readonly namespace: string;
  /** Where they answer within the cluster. */
  readonly addresses: { readonly http: string; readonly grpc: string } | null;
  readonly options: KnownOptions;
  /** What they run with, and what of it a MoEModel may ask for. */
  readonly running: Running;
}

/** Flags of the two kinds of processes, by name without dashes. */
export interface KnownOptions {
  readonly ofWorkers: ReadonlySet<string>;
  readonly ofControllers: ReadonlySet<string>;
  /** What is wrong with flags of workers: "threads: expected …". */
  readonly workerProblems: (options: Readonly<Record<string, string>>) => readonly string[];
  /** How flags differ from those that the controllers run with: "max-num-seqs: 64, the controllers run with 16". */
  readonly differences: (options: Readonly<Record<string, string>>) => readonly string[];
}

/** Null: the controllers have no option for it. */
export interface Running {
  readonly weights: string;
  readonly contextLength: number | null;
  readonly pipelines: number;
  readonly tensorParallelSize: number | null;
  readonly pipelineParallelSize: number | null;
  readonly expertTensorParallelSize: number | null;
  readonly expertReplicas: number;
}
