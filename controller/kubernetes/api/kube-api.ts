import type { Status, Subject } from '../reconcile/step.ts';
import type { KubeObject } from '../resources/objects.ts';

/** Kinds of objects that are watched. */
export type Watched = 'moemodels' | 'expertpools' | 'statefulsets' | 'services' | 'poddisruptionbudgets' | 'pods';

/** An object as the API server sends it. */
export type RawObject = Readonly<Record<string, unknown>> & {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly annotations?: Readonly<Record<string, string>>;
    readonly finalizers?: readonly string[];
    readonly deletionTimestamp?: string;
  };
};

export interface WatchEvent {
  readonly type: 'ADDED' | 'MODIFIED' | 'DELETED' | 'BOOKMARK';
  readonly object: RawObject;
}

/** What the operator asks of the API server, in one namespace. Rejects with a KubeError. */
export interface KubeApi {
  list(kind: Watched): Promise<{ readonly items: readonly RawObject[]; readonly resourceVersion: string }>;
  /** Calls back for what changed since `resourceVersion`. Resolves when the server ends the watch, as it does every few minutes. */
  watch(
    kind: Watched,
    resourceVersion: string,
    onEvent: (event: WatchEvent) => void,
    signal: AbortSignal,
  ): Promise<void>;
  /** Server-side apply of the operator's fields. */
  apply(object: KubeObject): Promise<void>;
  applyStatus(subject: Subject, status: Status): Promise<void>;
  setFinalizers(subject: Subject, finalizers: readonly string[], resourceVersion: string): Promise<void>;
  /** Deletes this very pod; none of the name and uid is no error. */
  deletePod(name: string, uid: string): Promise<void>;
  /** Has a Deployment replace its pods, once for each value of `cause`. */
  restart(deployment: string, cause: string): Promise<void>;
  createEvent(event: KubeEvent): Promise<void>;
  /** Changes a pool's replicas through the scale subresource, under a name that the object keeps. Returns those before. */
  scalePool(name: string, replicas: number, writer: string): Promise<number>;
  /** Asks that an object be deleted; what is gone is no error. */
  release(kind: 'moemodels' | 'expertpools', name: string): Promise<void>;
  /** Lets an object go without a drain. */
  dropFinalizer(kind: 'expertpools', object: RawObject): Promise<void>;
  /** Whether the namespace is being deleted; false where that may not be read. */
  namespaceLeaves(): Promise<boolean>;
  /** Server-side apply of an object that is in no namespace, at its path. */
  applyCluster(path: string, object: unknown): Promise<void>;
  /** Deletes an APIService that the namespace's Services answer for; none, or one of others, is no error. */
  dropApiService(name: string): Promise<void>;
  close(): void;
}

/** An event on an object. */
export interface KubeEvent {
  readonly subject: Subject & { readonly uid: string };
  /** Such as "PoolScaled". */
  readonly reason: string;
  readonly warning: boolean;
  readonly message: string;
}

/** What the API server refused, or why it was not reached. */
export class KubeError extends Error {
  /** HTTP status; 0: it was not reached. */
  readonly status: number;

  constructor(what: string, status: number, reason: string) {
    super(`${what}: ${reason}${status === 0 ? '' : ` (HTTP ${status})`}`);
    this.name = 'KubeError';
    this.status = status;
  }

  /** What was watched from is no longer there: everything must be listed again. */
  get expired(): boolean {
    return this.status === 410;
  }
}
