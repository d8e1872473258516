import { describe, expect, it } from 'vitest';
import { plainTraits, type TemplateTraits } from '../../../../controller/text/chat/template-traits.ts';
import { toTurns } from '../../../../controller/text/chat/turns.ts';
import { readExactJson, writeJson } from '../../../../controller/text/json/exact-json.ts';

function turn(message: string, traits: Partial<TemplateTraits> = {}): string {
  return writeJson(toTurns([readExactJson(message)], { ...plainTraits, ...traits })[0]);
}

describe('turns', () => {
  it('give arguments as objects with all digits, or as the text that they are', () => {
    const args = String.raw`"{\"9\": 1.0, \"id\": 9007199254740993, \"10\": 1e-7}"`;
    const call = (given: string): string =>
      `{"role": "assistant", "content": "", "tool_calls": [{"id": "a", "function": {"name": "f", "arguments": ${given}}}]}`;
    expect(turn(call(args))).toBe(call('{"9": 1.0, "id": 9007199254740993, "10": 1e-7}'));
    expect(turn(call(args), { arguments: 'text' })).toBe(call(args));
    expect(turn(call('{"9": 1.0}'), { arguments: 'text' })).toBe(call('"{\\"9\\": 1.0}"'));
    expect(turn(call('""'))).toBe(call('{}'));
    expect(turn(call('null'), { arguments: 'text' })).toBe(call('"{}"'));
    expect(turn(call('"{broken"'))).toBe(call('"{broken"'));
  });

  it('shorten ids of calls where they must be short, the same in calls and results', () => {
    const traits = { shortIds: true };
    expect(turn('{"role": "tool", "content": "x", "tool_call_id": "call_ab-123456789"}', traits)).toContain(
      '"123456789"',
    );
    const call = '{"role": "assistant", "content": "", "tool_calls": [{"id": "call_ab-123456789", "function": {}}]}';
    expect(turn(call, traits)).toContain('"id": "123456789"');
    expect(turn(call.replace('call_ab-123456789', '7'), traits)).toContain('"id": "000000007"');
  });

  it('leave out what was thought beside what was said where the template takes one of them', () => {
    const message =
      '{"role": "assistant", "content": "I look.", "reasoning": "Hm", "tool_calls": [{"id": "a", "function": {"name": "f"}}]}';
    expect(turn(message)).toContain('"thinking": "Hm"');
    expect(turn(message, { reasonsBesideText: false })).not.toContain('"thinking"');
    expect(turn(message.replace('I look.', ''), { reasonsBesideText: false })).toContain('"thinking": "Hm"');
  });

  it('take what was thought from parts', () => {
    const content = '[{"type": "thinking", "thinking": "Hm"}, {"type": "text", "text": "Yes"}]';
    expect(turn(`{"role": "assistant", "content": ${content}}`)).toBe(
      '{"role": "assistant", "content": "Yes", "thinking": "Hm", "reasoning_content": "Hm"}',
    );
  });
});
