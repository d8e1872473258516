import { readFileSync } from 'node:fs';
import { KubeConfig } from '@kubernetes/client-node';
import type { KubeApi } from '../../controller/kubernetes/api/kube-api.ts';
import { kubeClient } from '../../controller/kubernetes/api/kube-client.ts';
import { ConfigError } from '../config/load-config.ts';

/** What tells a pod which namespace it is in. */
const NAMESPACE_FILE = '/var/run/secrets/kubernetes.io/serviceaccount/namespace';

/** The API server of the pod that this process runs in, or else of the kubeconfig. */
export function connectKubernetes(namespace: string): KubeApi {
  const kube = new KubeConfig();
  kube.loadFromDefault();
  return kubeClient(kube, namespace);
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
