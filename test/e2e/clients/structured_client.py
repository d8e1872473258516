"""Python's openai with answers and calls that must fit Pydantic models. The demo model's values mean nothing. Prints what was checked."""
import datetime
import sys
from typing import Literal, Optional

import openai
from pydantic import BaseModel, Field

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
text = "What is 974 + 662?"
question = [{"role": "user", "content": text}]
ask = {"model": "clerk", "temperature": 0}


class Step(BaseModel):
    kind: Literal["add", "carry"]
    digits: list[int] = Field(min_length=1, max_length=3)


class Sum(BaseModel):
    total: int = Field(ge=0, le=9999)
    note: Optional[str] = Field(max_length=10)
    day: datetime.date
    steps: list[Step] = Field(min_length=1, max_length=2)


def check(name, got, wanted):
    if got != wanted:
        sys.exit(f"{name}: expected {wanted!r}, got {got!r}")
    print(name)


parsed = client.chat.completions.parse(messages=question, response_format=Sum, **ask).choices[0]
check("chat: parsed", (type(parsed.message.parsed), parsed.finish_reason), (Sum, "stop"))
with client.chat.completions.stream(messages=question, response_format=Sum, **ask) as stream:
    pieces = "".join(event.delta for event in stream if event.type == "content.delta")
    final = stream.get_final_completion().choices[0].message
check("chat: parsed, streamed", (final.parsed, Sum.model_validate_json(pieces)), (parsed.message.parsed,) * 2)

tools = [openai.pydantic_function_tool(Sum, name="record")]
forced = {"tools": tools, "tool_choice": "required", "parallel_tool_calls": False}
first = client.chat.completions.parse(messages=question, **forced, **ask).choices[0]
[call] = first.message.tool_calls
check("call", (type(call.function.parsed_arguments), first.finish_reason), (Sum, "tool_calls"))
with client.chat.completions.stream(messages=question, **forced, **ask) as stream:
    pieces = "".join(event.arguments_delta for event in stream if event.type == "tool_calls.function.arguments.delta")
    [streamed] = stream.get_final_completion().choices[0].message.tool_calls
check("call, streamed", (pieces, streamed.function.parsed_arguments), (call.function.arguments, call.function.parsed_arguments))
result = {"role": "tool", "tool_call_id": call.id, "content": "1636"}
answer = client.chat.completions.create(messages=[*question, first.message, result], tools=tools, max_tokens=8, **ask)
check("call: its result sent back", (bool(answer.choices[0].message.content), answer.choices[0].message.tool_calls), (True, None))

response = client.responses.parse(input=text, text_format=Sum, **ask)
check("response: parsed", (type(response.output_parsed), response.status), (Sum, "completed"))
with client.responses.stream(input=text, text_format=Sum, **ask) as stream:
    pieces = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    final = stream.get_final_response()
check("response: parsed, streamed", (final.output_parsed, pieces), (response.output_parsed, response.output_text))

forced = {"tools": tools, "tool_choice": {"type": "function", "name": "record"}}
response = client.responses.parse(input=text, **forced, **ask)
[call] = response.output
check("response: call", (type(call.parsed_arguments), response.status), (Sum, "completed"))
with client.responses.stream(input=text, **forced, **ask) as stream:
    pieces = "".join(event.delta for event in stream if event.type == "response.function_call_arguments.delta")
    [streamed] = stream.get_final_response().output
check("response: call, streamed", (pieces, streamed.name), (call.arguments, "record"))
result = {"type": "function_call_output", "call_id": call.call_id, "output": "1636"}
answer = client.responses.create(input=[result], previous_response_id=response.id, max_output_tokens=8, **ask)
check("response: the result of a call sent back", [item.type for item in answer.output], ["message"])
