"""Times of torch for the operations that the check times, in lines "operation rows seconds". usage: torch_times.py DEVICE"""

import sys

import torch
import torch.nn.functional as F

HIDDEN, HEADS, KV_HEADS, HEAD, EXPERTS, TOP_K, WIDTH, VOCABULARY, CONTEXT = 2048, 32, 4, 128, 128, 8, 768, 151936, 2047
ROWS = (1, 16, 64, 256, 2048)
RUNS = 20

device = torch.device("cuda", int(sys.argv[1]))
torch.cuda.set_device(device)


def random(*shape):
    return torch.randn(*shape, device=device, dtype=torch.bfloat16) / 32


def report(operation, rows, call):
    for _ in range(3):
        call()
    begin, end = torch.cuda.Event(enable_timing=True), torch.cuda.Event(enable_timing=True)
    begin.record()
    for _ in range(RUNS):
        call()
    end.record()
    end.synchronize()
    print(operation, rows, begin.elapsed_time(end) / RUNS / 1e3, flush=True)


def linear(operation, out, width, most):
    weight = random(out, width).t()
    for rows in ROWS:
        if rows <= most:
            x = random(rows, width)
            report(operation, rows, lambda: torch.mm(x, weight))


def attention():
    for rows in ROWS:
        prompt = rows > 256
        batch, queries, keys = (1, rows, rows) if prompt else (rows, 1, CONTEXT + 1)
        q = random(batch, HEADS, queries, HEAD)
        k, v = random(batch, KV_HEADS, keys, HEAD), random(batch, KV_HEADS, keys, HEAD)
        report("attention", rows, lambda: F.scaled_dot_product_attention(q, k, v, is_causal=prompt, enable_gqa=True))


def experts():
    gate_up = random(EXPERTS, 2 * WIDTH, HIDDEN).transpose(1, 2)
    down = random(EXPERTS, HIDDEN, WIDTH).transpose(1, 2)
    for rows in ROWS:
        x = random(rows, HIDDEN)
        chosen = (torch.arange(rows, device=device)[:, None] * 37 + torch.arange(TOP_K, device=device)) % EXPERTS
        order = chosen.flatten().argsort(stable=True)
        ends = torch.bincount(chosen.flatten(), minlength=EXPERTS).cumsum(0).to(torch.int32)
        row_of = order // TOP_K

        def call():
            gate, up = torch._grouped_mm(x[row_of], gate_up, offs=ends).chunk(2, dim=-1)
            parts = torch._grouped_mm(F.silu(gate) * up, down, offs=ends)
            return torch.zeros_like(x).index_add_(0, row_of, parts)

        report("experts", rows, call)


with torch.no_grad():
    linear("qkv", (HEADS + 2 * KV_HEADS) * HEAD, HIDDEN, ROWS[-1])
    attention()
    linear("o", HIDDEN, HEADS * HEAD, ROWS[-1])
    linear("gate", EXPERTS, HIDDEN, ROWS[-1])
    experts()
    linear("head", VOCABULARY, HIDDEN, 256)
