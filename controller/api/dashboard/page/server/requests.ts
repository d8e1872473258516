import { authorization } from './keys.ts';

/** A refusal by the server, in its words. */
export class Refusal extends Error {
  readonly status: number;

  constructor(status: number, message: string) {
    super(message);
    this.status = status;
  }
}

/** What a change came to, or would. */
export interface ChangeAnswer {
  readonly epoch: number;
  readonly preview: {
    readonly refusals: readonly string[];
    readonly shortfalls: readonly string[];
    readonly workers: readonly {
      readonly worker: string;
      readonly loads: number;
      readonly loadBytes: number;
      readonly frees: number;
      readonly freeBytes: number;
      readonly stageChanges: boolean;
    }[];
  } | null;
}

/** What holds which expert: see placement.ts. */
export interface Placement {
  readonly epoch: number;
  readonly workers: readonly string[];
  readonly layers: readonly { readonly layer: number; readonly experts: readonly (readonly number[])[] }[];
}

/** Longest that an answer may take, in ms: a change waits for the leader's plan. */
const DEADLINE_MS = 20_000;

export async function postChange(path: string, body: object, key: string): Promise<ChangeAnswer> {
  const response = await fetch(`dashboard/${path}`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...authorization(key) },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(DEADLINE_MS),
  });
  return (await answerOf(response)) as ChangeAnswer;
}

export async function getPlacement(key: string): Promise<Placement> {
  const signal = AbortSignal.timeout(DEADLINE_MS);
  return (await answerOf(await fetch('dashboard/placement', { headers: authorization(key), signal }))) as Placement;
}

/** Throws a Refusal. */
export async function answerOf(response: Response): Promise<unknown> {
  const text = await response.text();
  if (response.ok) return JSON.parse(text) as unknown;
  throw new Refusal(response.status, messageOf(text) || `the server answered ${response.status}`);
}

function messageOf(text: string): string {
  try {
    return (JSON.parse(text) as { error?: { message?: string } }).error?.message ?? '';
  } catch {
    return '';
  }
}
