import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completeGolden, expectGolden, prompts } from '../expect-golden.ts';
import { decidedPositions, type Golden, goldenFolder, largestNoise, noiseOf, readGoldens } from '../golden.ts';
import { run, Server } from '../server.ts';

const families = [
  'mixtral',
  'mixtral_swa',
  'qwen2_moe',
  'qwen3_moe',
  'olmoe',
  'llama',
  'mistral',
  'qwen2',
  'qwen3',
] as const;

describe.each(families)('%s over HTTP in f32 gives the reference results', (family) => {
  const goldens = readGoldens(family);
  let server: Server;
  beforeAll(async () => {
    server = await Server.start([goldenFolder(family), '--weights', 'f32', '--block-size', '4']);
  });
  afterAll(() => server.stop());

  it('for each prompt alone', async () => {
    for (const golden of goldens) expectGolden(await completeGolden(server, [golden.prompt]), [golden]);
  });

  it('for three prompts in one batch', async () => {
    expectGolden(await completeGolden(server, prompts(goldens)), goldens);
  });

  it('with the prefix taken from the cache', async () => {
    for (const golden of goldens) {
      const completion = await completeGolden(server, [golden.prompt], { echo: false });
      expectGolden(completion, [golden], false);
      expect(completion.usage.prompt_tokens_details?.cached_tokens).toBeGreaterThan(0);
      expectGolden(await completeGolden(server, [golden.prompt]), [golden]);
    }
  });
});

// Every family does so in test/integration/engine/goldens.test.ts; here the flags are tested.
describe.each(['mixtral_swa', 'qwen2_moe'])('%s over HTTP gives the reference results too', (family) => {
  const goldens = readGoldens(family);

  it('with prompts cut into chunks of 7 tokens', async () => {
    const budget = ['--max-num-batched-tokens', '7', '--max-num-seqs', '3'];
    await using server = await Server.start([goldenFolder(family), '--weights', 'f32', ...budget]);
    for (const golden of goldens) expectGolden(await completeGolden(server, [golden.prompt]), [golden]);
    expectGolden(await completeGolden(server, prompts(goldens)), goldens);
  });

  it('after a preemption', async () => {
    const report = await run(['inspect', goldenFolder(family), '--output', 'json']);
    const { kvBytesPerToken } = JSON.parse(report.stdout) as { kvBytesPerToken: { f32: number } };
    // The prompts take 6 + 12 + 2 blocks of 4 positions, and with their outputs 11 + 17 + 7: all start, not all can end.
    const blocks = 24;
    await using server = await Server.start([
      ...[goldenFolder(family), '--weights', 'f32', '--block-size', '4', '--max-model-len', '80'],
      ...['--kv-memory', String(blocks * 4 * kvBytesPerToken.f32)],
    ]);
    expectGolden(await completeGolden(server, prompts(goldens)), goldens);
    expect(await server.metric('conclave_num_preemptions_total')).toBeGreaterThan(0);
  });
});

// Of every family, format and instruction set in test/integration/native/goldens.test.ts.
it('--weights bf16 gives the likeliest token of the reference wherever rounding cannot change it', async () => {
  const family = 'qwen3';
  await using server = await Server.start([goldenFolder(family), '--weights', 'bf16']);
  for (const golden of readGoldens(family)) {
    const { likeliest, logprobs } = await score(server, golden);
    expect(likeliest).toHaveLength(golden.likeliest.length);
    expect(noiseOf(golden, logprobs, likeliest.length)).toBeLessThan(largestNoise.bf16);
    const decided = decidedPositions(golden, 'bf16');
    expect(decided.length).toBeGreaterThan(golden.likeliest.length / 4);
    expect(decided.filter((position) => likeliest[position] !== golden.likeliest[position])).toEqual([]);
  }
});

/** Log-probabilities of a prompt and its reference continuation but the last, and the likeliest tokens beside them. */
async function score(server: Server, { prompt, continuation }: Golden) {
  const completion = await completeGolden(server, [[...prompt, ...continuation]], {
    max_tokens: 0,
    return_tokens_as_token_ids: true,
  });
  const { token_logprobs = [], top_logprobs = [] } = completion.choices[0]?.logprobs ?? {};
  const likeliest = top_logprobs.slice(1).map((top) => {
    const [best] = Object.entries(top ?? {}).sort(([, a], [, b]) => b - a);
    return Number(best?.[0].replace('token_id:', ''));
  });
  return { likeliest, logprobs: token_logprobs.slice(1).map((value) => value ?? Number.NaN) };
}
