#!/usr/bin/env python3
"""Writes campplus/campplus.onnx: a graph with the tensors of a voice model that looks at a filter bank, and nothing
learned in it.

`feature` `[batch, frames, 80]` becomes `embedding` `[batch, 160]`: the mean square of each band over the frames, and
then each of them twice, so that a test can tell from the numbers what the graph was given. Needs nothing but Python:
the few messages of ONNX are written by hand (onnx.proto, IR 8, operators of version 13). The graph is ours:
MIT OR Apache-2.0, like the rest.
"""

import struct
from pathlib import Path

FLOAT = 1


def varint(value):
    out = b""
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def attribute(name, value):
    if isinstance(value, list):
        body = b"".join(number(8, one) for one in value) + number(20, 7)
    else:
        body = number(3, value) + number(20, 2)
    return block(5, block(1, name) + body)


def node(op, inputs, output, **attributes):
    body = b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, op)
    return block(1, body + b"".join(attribute(name, value) for name, value in attributes.items()))


def constant(name, value):
    return block(5, number(2, FLOAT) + block(8, name) + block(9, struct.pack("<f", value)))


def tensor(field, name, shape):
    sizes = b"".join(block(1, number(1, size) if isinstance(size, int) else block(2, size)) for size in shape)
    return block(field, block(1, name) + block(2, block(1, number(1, FLOAT) + block(2, sizes))))


graph = node("Mul", ["feature", "feature"], "square")
graph += node("ReduceMean", ["square"], "mean", axes=[1], keepdims=0)
graph += node("Mul", ["mean", "two"], "double")
graph += node("Concat", ["mean", "double"], "embedding", axis=1)
graph += block(2, "tiny")
graph += constant("two", 2.0)
graph += tensor(11, "feature", ["batch", "frames", 80])
graph += tensor(12, "embedding", ["batch", 160])
model = number(1, 8) + block(2, "harmony") + block(7, graph) + block(8, block(1, "") + number(2, 13))
(Path(__file__).parent / "campplus" / "campplus.onnx").write_bytes(model)
