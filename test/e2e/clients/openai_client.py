"""Python's openai against a server that answers sums: chat, streams, responses. Prints what was checked."""
import sys

import openai

client = openai.OpenAI(base_url=sys.argv[1] + "/v1", api_key="none", max_retries=0)
question = [{"role": "user", "content": "What is 974 + 662?"}]
expected = "974 + 662 = 1636"
ask = {"model": "clerk", "temperature": 0}


def check(name, got, wanted):
    if got != wanted:
        sys.exit(f"{name}: expected {wanted!r}, got {got!r}")
    print(name)


chat = client.chat.completions.create(messages=question, **ask)
check("chat", (chat.choices[0].message.content, chat.choices[0].finish_reason), (expected, "stop"))
check("chat: usage", chat.usage.total_tokens, chat.usage.prompt_tokens + chat.usage.completion_tokens)

chunks = client.chat.completions.create(messages=question, stream=True, stream_options={"include_usage": True}, **ask)
chunks = list(chunks)
text = "".join(choice.delta.content or "" for chunk in chunks for choice in chunk.choices)
check("chat, streamed", (text, chunks[-1].usage.completion_tokens), (expected, chat.usage.completion_tokens))

scored = client.chat.completions.create(messages=question, logprobs=True, top_logprobs=2, **ask)
joined = b"".join(bytes(entry.bytes) for entry in scored.choices[0].logprobs.content).decode()
check("chat: log-probabilities", joined.startswith(expected), True)

prompt = "<|im_start|>user\nWhat is 974 + 662?<|im_end|>\n<|im_start|>assistant\n"
completion = client.completions.create(prompt=prompt, max_tokens=40, **ask)
check("completion", completion.choices[0].text, expected)

extra = {"top_k": 1, "prompt_logprobs": 1, "truncate_prompt_tokens": -1}
more = client.completions.create(prompt=prompt, max_tokens=40, extra_body=extra, **ask)
scores = more.choices[0].prompt_logprobs
check("completion: vLLM's fields", (more.choices[0].text, scores[0], len(scores)), (expected, None, more.usage.prompt_tokens))

response = client.responses.create(input="What is 974 + 662?", **ask)
check("response", (response.output_text, response.status), (expected, "completed"))

with client.responses.stream(input="What is 974 + 662?", **ask) as stream:
    deltas = "".join(event.delta for event in stream if event.type == "response.output_text.delta")
    final = stream.get_final_response()
check("response, streamed", (deltas, final.output_text), (expected, expected))

follow = client.responses.create(input="What is 2 + 3?", previous_response_id=final.id, **ask)
check("response: an earlier one", follow.previous_response_id, final.id)
check("response: input items", [item.content for item in client.responses.input_items.list(follow.id)], ["What is 2 + 3?"])
check("response: retrieved", client.responses.retrieve(follow.id).output_text, follow.output_text)
client.responses.delete(follow.id)

try:
    client.chat.completions.create(messages=question, model="clerk", temperature=-1)
    sys.exit("a wrong field: expected an error")
except openai.BadRequestError as error:
    check("a wrong field", error.body["param"], "temperature")
try:
    client.responses.retrieve(follow.id)
    sys.exit("a response that was deleted: expected an error")
except openai.NotFoundError:
    print("a response that was deleted")
