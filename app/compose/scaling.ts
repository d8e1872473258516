/** What a controller tells autoscalers, and where. */
import { readFileSync } from 'node:fs';
import type { ClusterController } from '../../controller/cluster/cluster-controller.ts';
import { type ScalingInput, scalingSignals } from '../../controller/cluster/load/scaling-signals.ts';
import {
  type ExternalMetric,
  type ExternalMetricsServer,
  startExternalMetrics,
} from '../../controller/kubernetes/external-metrics.ts';
import type { TlsSource } from '../../platform/tls/tls-source.ts';
import { ConfigError } from '../config/load-config.ts';

/** Where a pod finds the namespace that it runs in. */
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

export interface ScalingOptions {
  readonly host: string;
  /** Null: the external metrics API is not served. */
  readonly port: number | null;
  readonly tls: TlsSource | null;
  readonly controller: Pick<ClusterController, 'status'>;
  readonly input: () => Omit<ScalingInput, 'status'>;
}

/** Serves the external metrics API of Kubernetes, when it is asked for. Throws a ConfigError without a certificate. */
export async function serveScaling({
  host,
  port,
  tls,
  controller,
  input,
}: ScalingOptions): Promise<ExternalMetricsServer | null> {
  if (port === null) return null;
  if (tls === null) {
    throw new ConfigError([
      '--external-metrics-port: Kubernetes asks over HTTPS; expected --tls-cert and --tls-key too',
    ]);
  }
  const read = () => externalMetrics({ ...input(), status: controller.status() });
  return startExternalMetrics({ host, port, tls, namespace: ownNamespace(), read, wallClock: Date.now });
}

function externalMetrics(input: ScalingInput): readonly ExternalMetric[] {
  return scalingSignals.map(({ name, read }) => ({
    name: `conclave_${name}`,
    values: [...read(input)].map(([pool, value]) => ({ labels: pool === '' ? {} : { pool }, value })),
  }));
}

function ownNamespace(): string | null {
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim() || null;
  } catch {
    return null;
  }
}
