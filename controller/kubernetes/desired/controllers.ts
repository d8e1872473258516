import type { MoEModel } from '../resources/moe-model.ts';

/** What the operator knows of the controllers that it is part of. */
export interface Controllers {
  /** Name of the cluster on NATS. */
  readonly cluster: string;
  /** NATS servers, without credentials. */
  readonly natsUrls: readonly string[];
  /** The MoEModel that they serve. */
  readonly model: string;
  readonly namespace: string;
  /** Their Deployment; null: nobody said which, and they are restarted by hand. */
  readonly deployment: string | null;
  /** Of the model that their Deployment was made with; null: nobody said. */
  readonly modelChecksum: string | null;
  /** Where they answer within the cluster. */
  readonly addresses: { readonly http: string; readonly grpc: string } | null;
  readonly options: KnownOptions;
  /** Copies of every expert that they were started with. */
  readonly expertReplicas: number;
  /** How a MoEModel differs from what they run with. */
  readonly differences: (model: MoEModel) => Differences;
}

/** Flags of the two kinds of processes, by name without dashes. */
export interface KnownOptions {
  readonly ofWorkers: ReadonlySet<string>;
  readonly ofControllers: ReadonlySet<string>;
  /** What is wrong with flags of workers: "threads: expected …". */
  readonly workerProblems: (options: Readonly<Record<string, string>>) => readonly string[];
}

/** What a MoEModel asks of controllers and they do not do, each in words that name the field. */
export interface Differences {
  /** With it controllers would not start. */
  readonly refused: readonly string[];
  /** Something else says otherwise, and wins: their flags, what their pods mount. */
  readonly overruled: readonly string[];
  /** They take it when they start again. */
  readonly pending: readonly string[];
}
