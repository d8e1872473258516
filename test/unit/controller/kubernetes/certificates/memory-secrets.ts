import {
  type Secret,
  SecretConflict,
  type SecretContent,
  type SecretStore,
} from '../../../../../controller/kubernetes/certificates/secret.ts';

/** Secrets as the API server keeps them: a write that expects another version is a conflict. */
export class MemorySecrets implements SecretStore {
  readonly secrets = new Map<string, Secret>();
  #version = 0;

  async read(name: string): Promise<Secret | null> {
    await Promise.resolve();
    return this.secrets.get(name) ?? null;
  }

  async write(content: SecretContent, before: Secret | null): Promise<void> {
    await Promise.resolve();
    if (this.secrets.get(content.name)?.version !== before?.version) throw new SecretConflict(content.name);
    this.secrets.set(content.name, { ...content, version: String(++this.#version) });
  }

  data(name: string): Readonly<Record<string, string>> {
    return this.secrets.get(name)?.data ?? {};
  }
}
