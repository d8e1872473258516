"""Python's anthropic against a server that answers sums: messages, streams, counts. Prints what was checked."""
import sys

import anthropic

client = anthropic.Anthropic(base_url=sys.argv[1], api_key="none", max_retries=0)
messages = [{"role": "user", "content": "What is 974 + 662?"}]
expected = "974 + 662 = 1636"
ask = {"model": "clerk", "max_tokens": 60, "messages": messages, "extra_body": {"temperature": 0}}


def check(name, got, wanted):
    if got != wanted:
        sys.exit(f"{name}: expected {wanted!r}, got {got!r}")
    print(name)


message = client.messages.create(**ask)
check("message", (message.content[0].text, message.stop_reason), (expected, "end_turn"))

with client.messages.stream(**ask) as stream:
    text = "".join(stream.text_stream)
    final = stream.get_final_message()
check("message, streamed", (text, final.content[0].text, final.stop_reason), (expected, expected, "end_turn"))

counted = client.messages.count_tokens(model="clerk", messages=messages)
usage = message.usage
check("tokens counted", counted.input_tokens, usage.input_tokens + usage.cache_read_input_tokens)

try:
    client.messages.create(**{**ask, "max_tokens": 0})
    sys.exit("a wrong field: expected an error")
except anthropic.BadRequestError as error:
    check("a wrong field", error.body["error"]["type"], "invalid_request_error")
