import { readFileSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import type { KubeApi } from '../../../controller/kubernetes/api/kube-api.ts';
import { kubeClient } from '../../../controller/kubernetes/api/kube-client.ts';
import { Transport } from '../../../controller/kubernetes/api/transport.ts';
import { KubernetesSecrets } from '../../../controller/kubernetes/certificates/kubernetes-secrets.ts';
import type { SecretStore } from '../../../controller/kubernetes/certificates/secret.ts';
import { ConfigError } from '../../config/load-config.ts';

/** What tells a pod which namespace it is in. */
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/** The API server of the pod that this process runs in, or else of the kubeconfig. */
export function connectKubernetes(namespace: string): KubeApi {
  return kubeClient(ownConfig(), namespace);
}

/** The Secrets of a namespace there. */
export function connectSecrets(namespace: string): SecretStore {
  return new KubernetesSecrets(new Transport(ownConfig()), namespace);
}

function ownConfig(): KubeConfig {
  const kube = new KubeConfig();
  kube.loadFromDefault();
  return kube;
}

/** Throws a ConfigError outside of a pod that does not say it. */
export function ownNamespace(): string {
  const given = process.env['POD_NAMESPACE'];
  if (given !== undefined && given !== '') return given;
  try {
    return readFileSync(NAMESPACE_FILE, 'utf8').trim();
  } catch {
    throw new ConfigError(['--kubernetes-namespace: expected the namespace; outside of a pod nothing else says it']);
  }
}
