import { randomBytes } from 'node:crypto';
import type { KubeConfig } from '@kubernetes/client-node';
import { API_VERSION, annotations, FIELD_MANAGER, FINALIZER, GROUP, VERSION } from '../resources/names.ts';
import { type KubeApi, KubeError, type KubeEvent, type RawObject, type WatchEvent, type Watched } from './kube-api.ts';
import { Transport } from './transport.ts';

/** Where the API server has each kind. */
const groups: Readonly<Record<Watched, string>> = {
  moemodels: `/apis/${GROUP}/${VERSION}`,
  expertpools: `/apis/${GROUP}/${VERSION}`,
  statefulsets: '/apis/apps/v1',
  poddisruptionbudgets: '/apis/policy/v1',
  services: '/api/v1',
  pods: '/api/v1',
};
const plurals: Readonly<Record<string, Watched>> = {
  MoEModel: 'moemodels',
  ExpertPool: 'expertpools',
  StatefulSet: 'statefulsets',
  PodDisruptionBudget: 'poddisruptionbudgets',
  Service: 'services',
};

const APPLY = 'application/apply-patch+yaml';
const MERGE = 'application/merge-patch+json';
/** Seconds after which the server ends a watch: so long a connection that is gone may go unseen. */
const WATCH_SECONDS = 60;
/** Milliseconds more that the end may take. */
const WATCH_GRACE_MS = 10_000;
/** Longest message of an event. */
const EVENT_LENGTH = 1_024;

/** Only what the operator made is watched, of kinds that others use too. */
const ownOnly = { labelSelector: 'app.kubernetes.io/managed-by=conclave-operator' };

/** The API server of a kubeconfig or of the pod that this process runs in. */
export function kubeClient(config: KubeConfig, namespace: string): KubeApi {
  const transport = new Transport(config);
  const pathOf = (kind: Watched, name = '', subresource = '') =>
    [groups[kind], 'namespaces', encodeURIComponent(namespace), kind, encodeURIComponent(name), subresource]
      .filter((part) => part !== '')
      .join('/');
  const selected = (kind: Watched) => (groups[kind].includes(GROUP) ? {} : ownOnly);
  return {
    list: async (kind) => {
      const list = await transport.call({ method: 'GET', path: pathOf(kind), query: selected(kind) });
      const { items, metadata } = list as { items: readonly RawObject[]; metadata: { resourceVersion: string } };
      return { items, resourceVersion: metadata.resourceVersion };
    },
    watch: async (kind, resourceVersion, onEvent, signal) => {
      const query = {
        ...selected(kind),
        ...{ watch: 'true', allowWatchBookmarks: 'true', resourceVersion, timeoutSeconds: String(WATCH_SECONDS) },
      };
      const path = pathOf(kind);
      const longest = WATCH_SECONDS * 1_000 + WATCH_GRACE_MS;
      await transport.lines({ method: 'GET', path, query }, (line) => onEvent(eventOf(path, line)), signal, longest);
    },
    apply: async (object) => {
      const query = { fieldManager: FIELD_MANAGER, force: 'true' };
      const path = pathOf(pluralOf(object), object.metadata.name);
      await transport.call({ method: 'PATCH', path, query, contentType: APPLY, body: object });
    },
    applyStatus: async ({ kind, name }, status) => {
      const body = { apiVersion: API_VERSION, kind, metadata: { name, namespace }, status };
      const query = { fieldManager: FIELD_MANAGER, force: 'true' };
      const path = pathOf(pluralOf({ kind }), name, 'status');
      await transport.call({ method: 'PATCH', path, query, contentType: APPLY, body });
    },
    setFinalizers: async ({ kind, name }, finalizers, resourceVersion) => {
      const path = pathOf(pluralOf({ kind }), name);
      const body = { metadata: { finalizers, resourceVersion } };
      const query = { fieldManager: FIELD_MANAGER };
      await transport.call({ method: 'PATCH', path, query, contentType: MERGE, body });
    },
    deletePod: async (name, uid) => {
      const path = pathOf('pods', name);
      await unlessGone(transport.call({ method: 'DELETE', path, body: { preconditions: { uid } } }));
    },
    restart: async (deployment, cause) => {
      const path = `/apis/apps/v1/namespaces/${encodeURIComponent(namespace)}/deployments/${encodeURIComponent(deployment)}`;
      const template = { metadata: { annotations: { [annotations.restart]: cause } } };
      const query = { fieldManager: FIELD_MANAGER };
      await transport.call({ method: 'PATCH', path, query, contentType: MERGE, body: { spec: { template } } });
    },
    createEvent: async (event) => {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}/events`;
      await transport.call({ method: 'POST', path, body: eventObject(event, namespace) });
    },
    scalePool: async (name, replicas, writer) => {
      const path = pathOf('expertpools', name, 'scale');
      const before = (await transport.call({ method: 'GET', path })) as { spec?: { replicas?: number } };
      const query = { fieldManager: writer };
      await transport.call({ method: 'PATCH', path, query, contentType: MERGE, body: { spec: { replicas } } });
      return before.spec?.replicas ?? 0;
    },
    release: async (kind, name) => {
      const path = pathOf(kind, name);
      await unlessGone(transport.call({ method: 'DELETE', path, body: {} }));
    },
    dropFinalizer: async (kind, { metadata }) => {
      const finalizers = (metadata.finalizers ?? []).filter((finalizer) => finalizer !== FINALIZER);
      const { resourceVersion } = metadata;
      const body = { metadata: { finalizers, resourceVersion } };
      const path = pathOf(kind, metadata.name);
      await unlessGone(transport.call({ method: 'PATCH', path, contentType: MERGE, body }));
    },
    namespaceLeaves: async () => {
      const path = `/api/v1/namespaces/${encodeURIComponent(namespace)}`;
      const found = await transport.call({ method: 'GET', path }).catch(unlessForbidden);
      return (found as RawObject | null)?.metadata.deletionTimestamp !== undefined;
    },
    applyCluster: async (path, object) => {
      const query = { fieldManager: FIELD_MANAGER, force: 'true' };
      await transport.call({ method: 'PATCH', path, query, contentType: APPLY, body: object });
    },
    dropApiService: async (name) => {
      const path = `/apis/apiregistration.k8s.io/v1/apiservices/${encodeURIComponent(name)}`;
      const found = await transport.call({ method: 'GET', path }).catch(unlessForbidden);
      const spec = (found as RawObject | null)?.['spec'] as
        | { readonly service?: { readonly namespace: string } }
        | undefined;
      if (spec?.service?.namespace === namespace)
        await unlessGone(transport.call({ method: 'DELETE', path, body: {} }));
    },
    close: () => transport.close(),
  };
}

function pluralOf({ kind }: { readonly kind: string }): Watched {
  const plural = plurals[kind];
  if (plural === undefined) throw new Error(`kind ${kind} is not one that the operator makes`);
  return plural;
}

/** An error within a watch is a Status, with the code that the request would have had. */
function eventOf(path: string, line: unknown): WatchEvent {
  const event = line as WatchEvent | { type: 'ERROR'; object: { code?: number; message?: string } };
  if (event.type !== 'ERROR') return event;
  const { code = 0, message = 'the watch failed' } = event.object;
  throw new KubeError(`watching ${path}`, code, message);
}

/** A role that another version of the chart made may lack the right. */
function unlessForbidden(error: unknown): null {
  if (error instanceof KubeError && error.status === 403) return null;
  throw error;
}

/** What is gone, or is another one by now, needs no deleting. */
async function unlessGone(call: Promise<unknown>): Promise<void> {
  try {
    await call;
  } catch (error) {
    if (!(error instanceof KubeError && (error.status === 404 || error.status === 409))) throw error;
  }
}

function eventObject({ subject, reason, warning, message }: KubeEvent, namespace: string) {
  const { kind, name, uid } = subject;
  const at = new Date().toISOString().replace(/\.\d+Z$/, 'Z');
  return {
    apiVersion: 'v1',
    kind: 'Event',
    metadata: { name: `${name}.${randomBytes(8).toString('hex')}`, namespace },
    involvedObject: { apiVersion: API_VERSION, kind, name, namespace, uid },
    reason,
    message: message.slice(0, EVENT_LENGTH),
    type: warning ? 'Warning' : 'Normal',
    ...{ firstTimestamp: at, lastTimestamp: at, count: 1 },
    source: { component: FIELD_MANAGER },
    reportingComponent: FIELD_MANAGER,
  };
}
