"""Python's anthropic against a server that answers sums: messages, streams, counts, tools. Prints what was checked."""
import sys

import anthropic
from pydantic import BaseModel, Field

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
messages = [{"role": "user", "content": "What is 974 + 662?"}]
expected = "974 + 662 = 1636"
ask = {"model": "clerk", "max_tokens": 60, "messages": messages, "extra_body": {"temperature": 0}}


def check(name, got, wanted):
    if got != wanted:
        sys.exit(f"{name}: expected {wanted!r}, got {got!r}")
    print(name)


class Sum(BaseModel):
    total: int = Field(ge=0, le=9999)
    sign: bool


message = client.messages.create(**ask)
check("message", (message.content[0].text, message.stop_reason), (expected, "end_turn"))

with client.messages.stream(**ask) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
check("message, streamed", (text, final.content[0].text, final.stop_reason), (expected, expected, "end_turn"))

counted = client.messages.count_tokens(model="clerk", messages=messages)
usage = message.usage
check("tokens counted", counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens)

tools = [{"name": "record", "input_schema": Sum.model_json_schema()}, {"name": "now", "input_schema": {"type": "object"}}]
forced = {**ask, "max_tokens": 300, "tools": tools, "tool_choice": {"type": "tool", "name": "record"}}
called = client.messages.create(**forced)
[use] = called.content
check("tool", (use.name, type(Sum.model_validate(use.input)), called.stop_reason), ("record", Sum, "tool_use"))
with client.messages.stream(**forced) as stream:
    pieces = "".join(event.partial_json for event in stream if event.type == "input_json")
    [streamed] = stream.get_final_message().content
check("tool, streamed", (streamed.input, Sum.model_validate_json(pieces)), (use.input, Sum.model_validate(use.input)))
results = [{"type": "tool_result", "tool_use_id": use.id, "content": "1636"}]
turns = [*messages, {"role": "assistant", "content": called.content}, {"role": "user", "content": results}]
answer = client.messages.create(**{**ask, "max_tokens": 8, "messages": turns, "tools": tools})
check("tool: its result sent back", [block.type for block in answer.content], ["text"])

try:
    client.messages.create(**{**ask, "max_tokens": 0})
    sys.exit("a wrong field: expected an error")
except anthropic.BadRequestError as error:
    check("a wrong field", error.body["error"]["type"], "invalid_request_error")
