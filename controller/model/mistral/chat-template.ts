/** How conversations are written for a version of Mistral's tokenizers, as a template. */
export function mistralTemplate(version: number): string {
  // From version 7 on instructions have marks of their own; before, the last user's message begins with them.
  const system =
    version >= 7
      ? `{%- if message.role in ['system', 'developer'] -%}
    {{- '[SYSTEM_PROMPT]' + text(message.content) + '[/SYSTEM_PROMPT]' -}}`
      : `{%- if message.role in ['system', 'developer'] -%}`;
  const instructions = version >= 7 ? '' : `(ns.system if loop.index0 == ns.last else '') + `;
  return `{%- macro text(content) -%}
{%- if content is string -%}{{- content -}}
{%- elif content -%}{%- for part in content -%}{{- part.text -}}{%- endfor -%}
{%- endif -%}
{%- endmacro -%}
{%- set ns = namespace(first=-1, last=-1, system='') -%}
{%- for message in messages -%}
{%- if message.role == 'user' -%}
    {%- if ns.first < 0 -%}{%- set ns.first = loop.index0 -%}{%- endif -%}
    {%- set ns.last = loop.index0 -%}
{%- elif message.role in ['system', 'developer'] -%}
    {%- set ns.system = text(message.content) + '\\n\\n' -%}
{%- endif -%}
{%- endfor -%}
{{- bos_token -}}
{%- for message in messages -%}
${system}
{%- elif message.role == 'user' -%}
    {%- if tools and loop.index0 == ns.${version >= 13 ? 'first' : 'last'} -%}
        {{- '[AVAILABLE_TOOLS]' + (tools | tojson) + '[/AVAILABLE_TOOLS]' -}}
    {%- endif -%}
    {{- '[INST]' + ${instructions}text(message.content) + '[/INST]' -}}
{%- elif message.role == 'assistant' -%}
    {{- text(message.content).rstrip(' ') -}}
    {%- if message.tool_calls -%}
${toolCalls(version)}
    {%- endif -%}
    {{- eos_token -}}
{%- elif message.role == 'tool' -%}
${toolResult(version)}
{%- else -%}
    {{- raise_exception('the role ' + message.role + ' is not supported; expected system, user, assistant or tool') -}}
{%- endif -%}
{%- endfor -%}`;
}

const callArguments =
  '(call.function.arguments if call.function.arguments is string else call.function.arguments | tojson)';

function toolCalls(version: number): string {
  if (version < 11) {
    return `        {{- '[TOOL_CALLS][' -}}
        {%- for call in message.tool_calls -%}
            {{- ', ' if not loop.first else '' -}}
            {{- '{"name": ' + (call.function.name | tojson) + ', "arguments": ' + ${callArguments} -}}
            {{- (', "id": ' + (call.id | tojson) if call.id else '') + '}' -}}
        {%- endfor -%}
        {{- ']' -}}`;
  }
  const id = version >= 13 ? '' : ` + ('[CALL_ID]' + call.id if call.id else '')`;
  return `        {%- for call in message.tool_calls -%}
            {{- '[TOOL_CALLS]' + call.function.name${id} + '[ARGS]' + ${callArguments} -}}
        {%- endfor -%}`;
}

function toolResult(version: number): string {
  if (version >= 13) return `    {{- '[TOOL_RESULTS]' + text(message.content) + '[/TOOL_RESULTS]' -}}`;
  if (version >= 7) {
    return `    {{- '[TOOL_RESULTS]' + message.tool_call_id + '[TOOL_CONTENT]' + text(message.content) + '[/TOOL_RESULTS]' -}}`;
  }
  return `    {%- set content = text(message.content) -%}
    {{- '[TOOL_RESULTS]{"content": ' + (content if content[:1] in ['{', '['] else content | tojson) -}}
    {{- ', "call_id": ' + (message.tool_call_id | tojson) + '}[/TOOL_RESULTS]' -}}`;
}
