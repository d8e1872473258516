import type { StatusJson } from '../../operate/cluster-json.ts';

/** The views, in the order of their keys 1 to 4. */
export const views = ['overview', 'workers', 'experts', 'events'] as const;
export type View = (typeof views)[number];

/** What `conclave top` shows: the latest status, what was before it, and where the person at the terminal is. */
export interface TopState {
  /** Address of the controller that is asked. */
  readonly server: string;
  readonly status: StatusJson;
  /** Tokens per second of the latest answers, oldest first. */
  readonly history: readonly number[];
  /** Why the status is not of now; empty when it is. */
  readonly problem: string;
  /** How old the status is, in ms; only of interest beside a problem. */
  readonly ageMs: number;
  readonly view: View;
  readonly help: boolean;
  /** Selected row of each view: of workers, layers and events. */
  readonly row: number;
  /** Selected expert, in the view of experts. */
  readonly column: number;
}

/** Answers that are kept for the graph. */
const HISTORY = 240;

export function firstState(server: string, status: StatusJson): TopState {
  return {
    ...{ server, status, history: [status.tokensPerSecond], problem: '', ageMs: 0 },
    ...{ view: 'overview', help: false, row: 0, column: 0 },
  };
}

export function withStatus(state: TopState, status: StatusJson): TopState {
  const history = [...state.history, status.tokensPerSecond].slice(-HISTORY);
  return { ...state, status, history, problem: '', ageMs: 0 };
}

export function withProblem(state: TopState, problem: string, ageMs: number): TopState {
  return { ...state, problem, ageMs };
}
