/** What the Hub's answers other than success mean. */
import { HubError } from './hub-error.ts';

interface Headers {
  get(name: string): string | null;
}

/** Whether the same request may succeed later. */
export function isTransient(status: number): boolean {
  return status === 408 || status === 425 || status === 429 || status >= 500;
}

/** Milliseconds that a server asks to wait: `Retry-After`, or the Hub's own `RateLimit: "api";r=0;t=120`. */
export function requestedWait(headers: Headers, now: number = Date.now()): number | null {
  const after = headers.get('retry-after');
  if (after !== null && /^\d+(\.\d+)?$/.test(after)) return Number(after) * 1_000;
  const date = after === null ? Number.NaN : Date.parse(after);
  if (!Number.isNaN(date)) return Math.max(0, date - now);
  const reset = /;\s*t=(\d+)/.exec(headers.get('ratelimit') ?? '')?.[1];
  return reset === undefined ? null : Number(reset) * 1_000;
}

interface Refused {
  readonly model: string;
  readonly endpoint: string;
  readonly token: string | null;
}

/** An answer that will not change by itself. */
export function explainRefusal(
  { status, headers }: { readonly status: number; readonly headers: Headers },
  { model, endpoint, token }: Refused,
): HubError {
  const code = headers.get('x-error-code');
  const said = headers.get('x-error-message');
  const page = `${endpoint}/${model}`;
  if (code === 'GatedRepo') {
    const account =
      token === null ? 'and set HF_TOKEN to a token of that account' : 'with the account of your HF_TOKEN';
    return new HubError('HUB_DENIED', `${model} is gated`, `Accept its conditions at ${page} ${account}.`);
  }
  if (code === 'RevisionNotFound') {
    return new HubError(
      'HUB_NOT_FOUND',
      `${model} has no such revision`,
      `Its branches and tags are at ${page}/tree/main.`,
    );
  }
  if (code === 'EntryNotFound') {
    return new HubError('HUB_NOT_FOUND', `${model} lacks a file that it lists`, 'Run the same command again.');
  }
  // Whoever may not see a private model is answered as if there were none.
  if (status === 401 || status === 403 || status === 404) {
    const denied = status === 403 ? 'access is denied' : 'there is no such model, or it is private or gated';
    const remedy =
      token === null
        ? `Check the name at ${page}; for a private or gated model set HF_TOKEN to a token of an account that may read it.`
        : `Check the name at ${page}, and that HF_TOKEN (or the token of "hf auth login") is valid and may read it.`;
    return new HubError(status === 404 ? 'HUB_NOT_FOUND' : 'HUB_DENIED', `${model}: ${denied} (${status})`, remedy);
  }
  const reason = said === null ? '' : `: ${said.slice(0, 200)}`;
  return new HubError('HUB_REFUSED', `${model}: the Hub answered ${status}${reason}`, `Look at ${page}.`);
}
