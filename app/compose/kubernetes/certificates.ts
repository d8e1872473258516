/** Certificates in Secrets, as the options describe them. */
import type { ClusterController } from '../../../controller/cluster/cluster-controller.ts';
import type { KubeApi } from '../../../controller/kubernetes/api/kube-api.ts';
import { CertificateRenewal } from '../../../controller/kubernetes/certificates/certificate-renewal.ts';
import {
  type CertificateOptions,
  defaultPolicy,
} from '../../../controller/kubernetes/certificates/keep-certificates.ts';
import { withPoolNames } from '../../../controller/kubernetes/certificates/pool-names.ts';
import type { SecretStore } from '../../../controller/kubernetes/certificates/secret.ts';
import { throttledErrorLog } from '../../../platform/process/error-log.ts';
import { ConfigError } from '../../config/load-config.ts';
import { connectSecrets } from './connect.ts';

export interface CertificateConfig {
  readonly authority: string | null;
  readonly certificate: ReadonlyMap<string, readonly string[]> | null;
  readonly certificateDays: number;
  readonly authorityDays: number;
  /** Milliseconds. */
  readonly authorityOverlap: number;
}

const DAY_MS = 86_400_000;

/** Null where certificates come from elsewhere. Throws a ConfigError where half of them is given. `labels`: of new Secrets. */
export function certificateOptions(
  config: CertificateConfig,
  store: SecretStore,
  labels: Readonly<Record<string, string>>,
): CertificateOptions | null {
  const { authority, certificate } = config;
  if ((authority === null) !== (certificate === null)) {
    throw new ConfigError(['--authority and --certificate belong together: expected both or neither']);
  }
  if (authority === null || certificate === null) return null;
  return {
    ...{ store, labels, authority, wallClock: Date.now },
    certificates: async () => certificate,
    policy: {
      ...defaultPolicy,
      leafLifeMs: config.certificateDays * DAY_MS,
      authorityLifeMs: config.authorityDays * DAY_MS,
      overlapMs: config.authorityOverlap,
    },
  };
}

/** Renews them while this controller leads; null where they come from elsewhere. `model`: the MoEModel that is served. */
export function startRenewal(
  config: CertificateConfig,
  { api, namespace, model }: { readonly api: KubeApi; readonly namespace: string; readonly model: string },
  controller: ClusterController,
): CertificateRenewal | null {
  const options = certificateOptions(config, connectSecrets(namespace), {});
  if (options === null) return null;
  const report = throttledErrorLog(
    (subject, error) => {
      const message = error instanceof Error ? error.message : String(error);
      controller.events.publish({ code: 'CERTIFICATES_NOT_RENEWED', severity: 'error', subject, message });
    },
    () => performance.now(),
  );
  return new CertificateRenewal({
    ...options,
    certificates: async () => {
      const [models, pools] = await Promise.all([api.list('moemodels'), api.list('expertpools')]);
      const served = models.items.find(({ metadata }) => metadata.name === model);
      return withPoolNames({
        certificates: await options.certificates(),
        model: served,
        pools: pools.items,
        namespace,
      });
    },
    leads: () => controller.leads(),
    onChange: ({ secret, message }) =>
      controller.events.publish({
        code: 'CERTIFICATE_CHANGED',
        severity: 'info',
        subject: `secret/${secret}`,
        message,
      }),
    onError: (error) => report(`secret/${options.authority}`, error),
  });
}
