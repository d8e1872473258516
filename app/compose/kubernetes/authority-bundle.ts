/** Tells the API server which authority signs the certificate behind the external metrics API. */
import type { KubeApi } from '../../../controller/kubernetes/api/kube-api.ts';
import { backgroundClock, type Clock } from '../../../platform/process/clock.ts';
import { throttledErrorLog } from '../../../platform/process/error-log.ts';
import type { TlsSource } from '../../../platform/tls/tls-source.ts';

const NAME = 'v1beta1.external.metrics.k8s.io';
const LOOK_MS = 10_000;

export interface AuthorityBundleOptions {
  readonly api: Pick<KubeApi, 'applyCluster' | 'namespaceLeaves' | 'dropApiService'>;
  readonly tls: Pick<TlsSource, 'current'>;
  /** Whether this controller leads: only the leader writes. */
  readonly leads: () => boolean;
  readonly onError: (what: string, error: unknown) => void;
  readonly clock?: Clock;
}

/**
 * Writes it as long as this controller leads, and again whenever it is another one. Returns what ends that: the APIService is in
 * no namespace, but it goes when the controllers' own does, as Kubernetes deletes no namespace while a server of an API is away.
 */
export function keepAuthorityBundle({
  api,
  tls,
  leads,
  onError,
  clock = backgroundClock,
}: AuthorityBundleOptions): () => Promise<void> {
  let written: Buffer | null = null;
  let cancel: () => void = () => undefined;
  let stopped = false;
  const report = throttledErrorLog(onError, () => performance.now());
  const look = async (): Promise<void> => {
    const bundle = tls.current.authority;
    if (!leads())
      written = null; // Another leader may write another one.
    else if (bundle !== null && written?.equals(bundle) !== true) {
      await api.applyCluster(`/apis/apiregistration.k8s.io/v1/apiservices/${NAME}`, {
        ...{ apiVersion: 'apiregistration.k8s.io/v1', kind: 'APIService', metadata: { name: NAME } },
        spec: { caBundle: bundle.toString('base64') },
      });
      written = bundle;
    }
  };
  const lookLater = (ms: number): void => {
    cancel = clock.after(ms, () => {
      void look()
        .catch((error: unknown) => report(`apiservice/${NAME}`, error))
        .finally(() => stopped || lookLater(LOOK_MS));
    });
  };
  lookLater(0);
  return async () => {
    stopped = true;
    cancel();
    if (await api.namespaceLeaves()) await api.dropApiService(NAME);
  };
}
