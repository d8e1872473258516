// Requests as coding agents send them, with all the fields that their SDKs add: what means nothing here must not stand in the way.
import { afterAll, beforeAll, expect, it } from 'vitest';
import { type Harness, post, startHarness } from './gateway-harness.ts';

let harness: Harness;
beforeAll(async () => {
  harness = await startHarness({ answer: 'Done. ' });
});
afterAll(() => harness.close());

const cached = { cache_control: { type: 'ephemeral' } };
const parameters = { type: 'object', properties: { path: { type: 'string' } }, required: ['path'] };

const message = {
  ...{ model: 'clerk', max_tokens: 8, temperature: 1, stream: true, metadata: { user_id: 'u' }, service_tier: 'auto' },
  system: [
    { type: 'text', text: 'You are an agent.' },
    { type: 'text', text: 'Be brief.', ...cached },
  ],
  tools: [{ name: 'read', description: 'Reads a file', input_schema: parameters, ...cached }],
  tool_choice: { type: 'auto' },
  thinking: { type: 'enabled', budget_tokens: 1024 },
  context_management: { edits: [] },
  messages: [
    { role: 'user', content: [{ type: 'text', text: 'Go', ...cached }] },
    {
      role: 'assistant',
      content: [
        { type: 'thinking', thinking: 'I read.', signature: 'c2ln' },
        { type: 'text', text: 'Reading.' },
        { type: 'tool_use', id: 'toolu_1', name: 'read', input: { path: 'a', id: 1 } },
      ],
    },
    {
      role: 'user',
      content: [
        {
          type: 'tool_result',
          tool_use_id: 'toolu_1',
          content: [{ type: 'text', text: 'no such file' }],
          is_error: true,
          ...cached,
        },
        { type: 'text', text: 'Go on', ...cached },
      ],
    },
  ],
};

it('a message as Claude Code streams it', async () => {
  const headers = {
    'x-api-key': 'k',
    'anthropic-version': '2023-06-01',
    'anthropic-beta': 'interleaved-thinking-2025-05-14',
  };
  const response = await fetch(`${harness.url}/v1/messages?beta=true`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', ...headers },
    body: JSON.stringify(message),
  });
  expect(response.status).toBe(200);
  expect((await response.text()).match(/^event: .*/gm)?.at(-1)).toBe('event: message_stop');
  const { messages, system, tools } = message;
  const counted = await post(harness, '/v1/messages/count_tokens?beta=true', {
    model: 'clerk',
    messages,
    system,
    tools,
  });
  expect(counted.body.input_tokens).toBeGreaterThan(50);
});

it('a response as Codex streams it, and its next turn', async () => {
  const tool = { type: 'function', name: 'shell', description: 'Runs', strict: false, parameters };
  const call = {
    type: 'function_call',
    call_id: 'call_1',
    name: 'shell',
    arguments: '{"path": "a"}',
    status: 'completed',
  };
  const turn = {
    ...{ model: 'clerk', instructions: 'You are an agent.', store: false, stream: true, max_output_tokens: 8 },
    ...{ tools: [tool], tool_choice: 'auto', parallel_tool_calls: false, prompt_cache_key: 'k', client_metadata: {} },
    reasoning: { effort: 'medium', summary: 'auto' },
    text: { verbosity: 'low' },
    include: ['reasoning.encrypted_content'],
    input: [
      { type: 'message', role: 'developer', content: [{ type: 'input_text', text: 'Rules' }] },
      { type: 'message', role: 'user', content: [{ type: 'input_text', text: 'Go' }] },
      { type: 'reasoning', id: 'rs_1', summary: [], content: null, encrypted_content: null },
      call,
      { type: 'function_call_output', call_id: 'call_1', output: 'ok' },
    ],
  };
  const response = await fetch(`${harness.url}/v1/responses`, {
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: 'Bearer k', originator: 'codex_cli_rs' },
    body: JSON.stringify(turn),
  });
  expect(response.status).toBe(200);
  expect((await response.text()).match(/^event: .*/gm)?.at(-1)).toMatch(/^event: response\.(completed|incomplete)$/);
});

it('a chat as agents on OpenAI’s SDK send it', async () => {
  const { status } = await post(harness, '/v1/chat/completions', {
    ...{
      model: 'clerk',
      max_completion_tokens: 8,
      stream: false,
      user: 'u',
      metadata: {},
      service_tier: 'auto',
      verbosity: 'low',
    },
    ...{
      n: 1,
      logit_bias: {},
      presence_penalty: 0,
      stop: null,
      seed: null,
      safety_identifier: 's',
      prompt_cache_key: 'k',
    },
    tools: [{ type: 'function', function: { name: 'read', description: null, strict: null, parameters } }],
    tool_choice: 'auto',
    messages: [
      { role: 'developer', content: 'Rules', name: 'boss' },
      { role: 'user', content: [{ type: 'text', text: 'Go', ...cached }] },
      {
        role: 'assistant',
        content: '',
        refusal: null,
        audio: null,
        function_call: null,
        annotations: [],
        tool_calls: [{ id: 'c', index: 0, type: 'function', function: { name: 'read', arguments: '' } }],
      },
      { role: 'tool', tool_call_id: 'c', name: 'read', content: [{ type: 'text', text: '' }] },
      { role: 'user', content: '' },
    ],
  });
  expect(status).toBe(200);
});
