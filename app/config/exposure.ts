interface Exposed {
  readonly host: string;
  readonly apiKey: readonly string[] | null;
  readonly apiKeyFile: string | null;
}

/** What to warn of when other machines may use the model without a key; null: they may not. */
export function exposureWarning({ host, apiKey, apiKeyFile }: Exposed): string | null {
  if (apiKey !== null || apiKeyFile !== null || isLoopbackHost(host)) return null;
  return `--host ${host}: whoever reaches this machine may use the model without a key; set --api-key-file, or --host 127.0.0.1`;
}

/** Whether an address to listen on is one of this machine's own, that no other machine reaches. */
function isLoopbackHost(host: string): boolean {
  const plain = host.toLowerCase().replace(/^\[|\]$/g, '');
  return plain === 'localhost' || plain === '::1' || /^(::ffff:)?127(\.\d{1,3}){1,3}$/.test(plain);
}
