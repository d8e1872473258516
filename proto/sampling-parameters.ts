/** Bounds of a number, both included. */
export interface Range {
  readonly min: number;
  readonly max: number;
}

/** A number of SamplingParams that says how tokens are drawn. */
export interface SamplingParameter {
  /** Its name in SamplingParams, in HTTP bodies and in generation_config.json. */
  readonly name: string;
  /** What it is where nobody says. */
  readonly neutral: number;
  /** What clients may send. Where OpenAI and vLLM name no bound, it is the engine's. */
  readonly clients: Range;
  /** What the engine computes with; clients' values outside mean its nearest end. Adjusted logits stay far from the ends of f32, so that no request makes a step fail. */
  readonly engine: Range;
  /** Whole numbers only. */
  readonly integer: boolean;
  /** Whether a checkpoint may recommend a value. */
  readonly recommended: boolean;
}

const largest = 1e6;

/**
 * Every such parameter, under its key in decoded messages. HTTP, gRPC, the engine and the wire between stages read this
 * table; besides it a new one needs its field in SamplingParams and in NativeSampling.
 */
export const samplingParameters = {
  temperature: number('temperature', 1, { min: 0, max: largest }),
  /** 0, and for clients -1 too: all tokens. */
  topK: {
    name: 'top_k',
    neutral: 0,
    clients: { min: -1, max: Number.MAX_SAFE_INTEGER },
    engine: { min: 0, max: 2 ** 31 - 1 },
    integer: true,
    recommended: true,
  },
  /** For clients also 0: the likeliest token. */
  topP: { ...number('top_p', 1, { min: 0, max: 1 }), engine: { min: 1e-30, max: 1 } },
  minP: number('min_p', 0, { min: 0, max: 1 }),
  repetitionPenalty: number('repetition_penalty', 1, { min: 1 / largest, max: largest }),
  presencePenalty: penalty('presence_penalty'),
  frequencyPenalty: penalty('frequency_penalty'),
} satisfies Record<string, SamplingParameter>;

export type SamplingKey = keyof typeof samplingParameters;

/** A value for every parameter of the table. */
export type SamplingValues = { readonly [Key in SamplingKey]: number };

/** What clients may send for a token in `logit_bias`, and what the engine computes with. */
export const logitBias = { clients: { min: -100, max: 100 }, engine: { min: -largest, max: largest } } as const;

/** A value for every parameter. */
export function eachSamplingParameter(
  value: (parameter: SamplingParameter, key: SamplingKey) => number,
): SamplingValues {
  const entries = Object.entries(samplingParameters) as [SamplingKey, SamplingParameter][];
  return Object.fromEntries(entries.map(([key, parameter]) => [key, value(parameter, key)])) as SamplingValues;
}

/** What a client's value within its range means to the engine. */
export function engineValue({ engine }: SamplingParameter, value: number): number {
  return Math.min(Math.max(value, engine.min), engine.max);
}

function number(name: string, neutral: number, range: Range): SamplingParameter {
  return { name, neutral, clients: range, engine: range, integer: false, recommended: true };
}

function penalty(name: string): SamplingParameter {
  const engine = { min: -largest, max: largest };
  return { name, neutral: 0, clients: { min: -2, max: 2 }, engine, integer: false, recommended: false };
}
