import { KubeError } from '../api/kube-api.ts';
import type { Transport } from '../api/transport.ts';
import { type Secret, SecretConflict, type SecretContent, SecretError, type SecretStore } from './secret.ts';

const MERGE = 'application/merge-patch+json';

/** A Secret as the API server sends and takes it. */
interface RawSecret {
  readonly metadata: {
    readonly name: string;
    readonly resourceVersion: string;
    readonly labels?: Readonly<Record<string, string>>;
    readonly annotations?: Readonly<Record<string, string>>;
  };
  readonly type?: string;
  /** Base64. */
  readonly data?: Readonly<Record<string, string>>;
}

/** The Secrets of a namespace, in the API server. */
export class KubernetesSecrets implements SecretStore {
  readonly #transport: Pick<Transport, 'call'>;
  readonly #namespace: string;

  constructor(transport: Pick<Transport, 'call'>, namespace: string) {
    this.#transport = transport;
    this.#namespace = namespace;
  }

  async read(name: string): Promise<Secret | null> {
    try {
      return fromApi(await this.#transport.call({ method: 'GET', path: this.#path(name) }));
    } catch (error) {
      if (error instanceof KubeError && error.status === 404) return null;
      throw this.#explain(error, 'get', name);
    }
  }

  async write(content: SecretContent, before: Secret | null): Promise<void> {
    const { name } = content;
    try {
      await this.#transport.call(
        before === null
          ? { method: 'POST', path: this.#path(), body: toApi(content) }
          : { method: 'PATCH', path: this.#path(name), body: changesOf(content, before), contentType: MERGE },
      );
    } catch (error) {
      // 409: another version is there; 404: it was deleted since it was read.
      if (error instanceof KubeError && (error.status === 409 || (error.status === 404 && before !== null))) {
        throw new SecretConflict(name);
      }
      throw this.#explain(error, before === null ? 'create' : 'patch', name);
    }
  }

  #path(name: string | null = null): string {
    const secrets = `/api/v1/namespaces/${encodeURIComponent(this.#namespace)}/secrets`;
    return name === null ? secrets : `${secrets}/${encodeURIComponent(name)}`;
  }

  #explain(error: unknown, verb: 'get' | 'create' | 'patch', name: string): Error {
    const namespace = this.#namespace;
    const reason = error instanceof Error ? error.message : String(error);
    const message = `cannot ${verb} the Secret ${name} in the namespace ${namespace}: ${reason}`;
    switch (error instanceof KubeError ? error.status : 0) {
      case 0:
        return new SecretError(message, 'Check that the API server can be reached, and the kubeconfig.');
      case 401:
        return new SecretError(message, 'Log in to the cluster again, or give the pod a service account.');
      case 403:
        return new SecretError(
          message,
          `Allow the verb "${verb}" on the resource "secrets" in the namespace ${namespace} by a Role and a RoleBinding.`,
        );
      case 404:
        return new SecretError(message, `Make the namespace: kubectl create namespace ${namespace}`);
      default:
        return new SecretError(message, 'What the API server says is what has to change.');
    }
  }
}

function fromApi(raw: unknown): Secret {
  const { metadata, type, data = {} } = raw as RawSecret;
  return {
    name: metadata.name,
    type: type === 'kubernetes.io/tls' ? type : 'Opaque',
    labels: metadata.labels ?? {},
    annotations: metadata.annotations ?? {},
    data: recoded(data, 'base64', 'utf8'),
    version: metadata.resourceVersion,
  };
}

function toApi({ name, type, labels, annotations, data }: SecretContent): object {
  return {
    ...{ apiVersion: 'v1', kind: 'Secret', type },
    metadata: { name, labels, annotations },
    data: recoded(data, 'utf8', 'base64'),
  };
}

/** A merge patch: what it does not name stays, null takes a field away. It fails unless the version is the one before. */
function changesOf({ labels, annotations, data }: SecretContent, before: Secret): object {
  return {
    metadata: {
      resourceVersion: before.version,
      labels: { ...removed(before.labels, labels), ...labels },
      annotations: { ...removed(before.annotations, annotations), ...annotations },
    },
    data: { ...removed(before.data, data), ...recoded(data, 'utf8', 'base64') },
  };
}

function removed(before: object, after: object) {
  return Object.fromEntries(
    Object.keys(before)
      .filter((key) => !(key in after))
      .map((key) => [key, null]),
  );
}

function recoded(data: Readonly<Record<string, string>>, from: BufferEncoding, to: BufferEncoding) {
  return Object.fromEntries(
    Object.entries(data).map(([key, value]) => [key, Buffer.from(value, from).toString(to)] as const),
  );
}
