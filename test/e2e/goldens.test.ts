import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { completeGolden, expectGolden, outputTokens, prompts } from './expect-golden.ts';
import { agreements, type Golden, goldenFolder, readGoldens, roundsActivations } from './golden.ts';
import { run, Server } from './server.ts';

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

  describe('with everything at its default', () => {
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

describe('in bf16', () => {
  const tied = roundsActivations ? ', or a bf16 tie with it,' : '';
  it(`the likeliest token is that of the reference${tied} at 99 % of all positions`, async () => {
    let [agreed, positions] = [0, 0];
    for (const family of families) {
      await using server = await Server.start([goldenFolder(family), '--weights', 'bf16']);
      for (const golden of readGoldens(family)) {
        const found = await likeliestTokens(server, golden);
        agreed += agreements(golden, found, roundsActivations);
        positions += golden.likeliest.length;
      }
    }
    // Measured with f32 activations, alike on every instruction set and number of threads: 1168 of 1179, which is 99.07 %.
    expect(positions).toBe(families.length * (24 + 45 + 5 + 3 * (outputTokens - 1)));
    expect(agreed / positions).toBeGreaterThanOrEqual(0.99);
  });
});

/** The likeliest token after each position of a prompt and its reference continuation, but the last. */
async function likeliestTokens(server: Server, { prompt, continuation }: Golden): Promise<readonly number[]> {
  const completion = await completeGolden(server, [[...prompt, ...continuation]], {
    max_tokens: 0,
    return_tokens_as_token_ids: true,
  });
  return (completion.choices[0]?.logprobs.top_logprobs ?? []).slice(1).map((top) => {
    const [likeliest] = Object.entries(top ?? {}).sort(([, a], [, b]) => b - a);
    return Number(likeliest?.[0].replace('token_id:', ''));
  });
}
