import { describe, expect, it } from 'vitest';
import { differencesFrom } from '../../../../../app/compose/kubernetes/differences.ts';
import { type ControllerConfig, controllerSchema } from '../../../../../app/config/controller-config.ts';
import { loadConfig } from '../../../../../app/config/load-config.ts';
import { askedFlags } from '../../../../../controller/kubernetes/desired/asked-options.ts';
import type { MoEModel } from '../../../../../controller/kubernetes/resources/moe-model.ts';
import { model } from '../../../controller/kubernetes/fixtures.ts';

/** Controllers that were started with these flags, and a model. */
function controllers(flags: Readonly<Record<string, unknown>>, started: MoEModel, longest = 1_024) {
  const load = (of: MoEModel): ControllerConfig => {
    const asked = askedFlags(of).map(({ name, value, path }) => ({ name, value, place: `MoEModel clerk, ${path}` }));
    return loadConfig(controllerSchema, { flags, environment: {}, file: null, asked }).config;
  };
  const problems = ({ maxModelLen }: ControllerConfig) =>
    (maxModelLen ?? 0) > longest ? [`--max-model-len: expected at most ${longest}`] : [];
  return differencesFrom({ config: load(started), load, model: started }, problems);
}

const none = { refused: [], overruled: [], pending: [] };

describe('differences between a MoEModel and the controllers that read it', () => {
  const started = model({ weights: 'bf16', options: { 'max-num-seqs': '48', threads: '4' } });

  it.each([
    ['nothing', {}],
    ['replicas of experts, which are changed at once', { expertReplicas: 3 }],
    ['workers', { stages: { replicas: 4 } }],
    ['flags of workers', { options: { 'max-num-seqs': '48', threads: '8' } }],
  ])('are none when %s changed', (_, spec) => {
    const edited = model({ weights: 'bf16', options: { 'max-num-seqs': '48', threads: '4' }, ...spec });
    expect(controllers({}, started)(edited)).toEqual(none);
  });

  it('are taken at another start', () => {
    const edited = model({ weights: 'q8', contextLength: 512, layout: { pipelines: 2 }, source: { folder: '/m' } });
    expect(controllers({}, started)(edited)).toEqual({
      ...none,
      pending: [
        'spec.source: /m, the controllers run with none',
        'spec.weights: q8, the controllers run with bf16',
        'spec.contextLength: 512, the controllers run with none',
        'spec.layout.pipelines: 2, the controllers run with 1',
        '--max-num-seqs: not given, the controllers run with 48',
      ],
    });
  });

  it.each([
    [{ weights: 'q3' }, /^MoEModel clerk, spec\.weights: expected one of .*got "q3"/],
    [{ options: { 'max-num-seqs': 'many' } }, /^MoEModel clerk, spec\.options\.max-num-seqs: expected/],
    [{ contextLength: 4_096 }, /^--max-model-len: expected at most 1024/],
  ])('of which controllers would not start say why: %j', (spec, message) => {
    expect(controllers({}, started)(model(spec)).refused).toEqual([expect.stringMatching(message)]);
  });

  it('are none for a flag that controllers alone were given, and named where the model has a field for it', () => {
    const flags = { maxNumSeqs: '16', weights: 'f32' };
    expect(controllers(flags, started)(started)).toEqual({
      ...none,
      overruled: ['spec.weights: bf16, flags of the controllers say "f32"'],
    });
  });

  it('in the volume of the checkpoint need other pods of the controllers', () => {
    const claim = (name: string) => model({ source: { claim: { name, path: 'qwen3' } } });
    const { overruled, pending } = controllers({}, claim('models'))(claim('others'));
    expect(pending).toEqual([]);
    expect(overruled).toEqual([
      expect.stringMatching(/^spec\.source: .*"others".*pods of the controllers have .*"models"/),
    ]);
  });
});
