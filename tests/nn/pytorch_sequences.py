"""Prints pytorch_sequences.h: what PyTorch computes for small sequence layers in double precision.

    python3 tests/nn/pytorch_sequences.py > tests/nn/pytorch_sequences.h

Inputs, upstream gradients and parameters follow one formula, so that only results are stored; of each
parameter's gradient one weighted sum.
"""

import textwrap

import torch
from torch import nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence

torch.set_default_dtype(torch.float64)
N, T, LENGTHS = 3, 4, [4, 1, 3]


def wave(count, phase):
    return 0.5 * torch.sin(0.37 * torch.arange(count) + phase)


def fill(module):
    with torch.no_grad():
        for k, p in enumerate(module.state_dict().values()):
            p.copy_(wave(p.numel(), 0.1 * k).reshape(p.shape))


def mask():
    return torch.arange(T)[None, :] >= torch.tensor(LENGTHS)[:, None]


def recurrent(module):
    def run(x):
        packed = pack_padded_sequence(x, LENGTHS, batch_first=True, enforce_sorted=False)
        return pad_packed_sequence(module(packed)[0], batch_first=True, total_length=T)[0]

    return run


def attention(module):
    return lambda x: module(x, x, x, key_padding_mask=mask(), need_weights=False)[0]


def encoder(module):
    return lambda x: module(x, src_key_padding_mask=mask())


def case(name, module, run, channels):
    fill(module)
    x = wave(N * T * channels, 1.0).reshape(N, T, channels).requires_grad_()
    valid = (~mask()).double()[:, :, None]
    y = run(x * valid) * valid
    dy = wave(y.numel(), 2.0).reshape(y.shape)
    (y * dy).sum().backward()
    sums = [
        (p.grad.flatten() * torch.cos(torch.arange(p.numel()) + 1.0)).sum().item()
        for p in module.parameters()
    ]

    def numbers(values):
        text = ", ".join(f"{v:.17g}" for v in values)
        return "\n     ".join(textwrap.wrap(text, 94))

    print(f"const PytorchCase k{name}{{")
    print(f"    {{{numbers(y.flatten().tolist())}}},")
    print(f"    {{{numbers(x.grad.flatten().tolist())}}},")
    print(f"    {{{numbers(sums)}}}}};\n")


def encoder_layer(**more):
    return nn.TransformerEncoderLayer(4, 2, 5, dropout=0.0, batch_first=True, **more)


print(f"""// Made by pytorch_sequences.py with PyTorch {torch.__version__.split('a')[0]}; not to be edited.
#pragma once

#include <vector>

namespace evenkeel::testing {{

/// Results [N, T, C], zero in the padding, and Σ gradient[i]·cos(i + 1) of each parameter.
struct PytorchCase {{
  std::vector<double> y, dx, sums;
}};
// clang-format off
""")
both = dict(num_layers=2, bidirectional=True, batch_first=True)
for kind, name in ((nn.LSTM, "Lstm"), (nn.GRU, "Gru")):
    module = kind(3, 2, **both)
    case(name, module, recurrent(module), 3)
module = nn.MultiheadAttention(4, 2, batch_first=True)
case("Attention", module, attention(module), 4)
for name, more in (
    ("EncoderBehind", dict(activation="relu")),
    ("EncoderBefore", dict(activation="gelu", norm_first=True)),
):
    module = encoder_layer(**more)
    case(name, module, encoder(module), 4)
print("""// clang-format on
}  // namespace evenkeel::testing""")
