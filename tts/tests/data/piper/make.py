#!/usr/bin/env python3
"""Writes tiny.onnx and tiny-speakers.onnx: graphs with the tensors of a Piper voice and nothing learned in them.

Each number of `input` becomes 64 samples of number * scales[1] * input_lengths[0] / 65536 (times sid + 1, where there
are speakers), so that a test can tell from a sample what the graph was given and in which order. Needs nothing but
Python: the few messages of ONNX are written by hand (onnx.proto, IR 8, operators of version 13). The graphs are ours:
MIT OR Apache-2.0, like the rest.
"""

import struct
from pathlib import Path

FLOAT, INT64 = 1, 7


def varint(value):
    out = b""
    value &= (1 << 64) - 1
    while value > 127:
        out += bytes([value & 127 | 128])
        value >>= 7
    return out + bytes([value])


def number(field, value):
    return varint(field << 3) + varint(value)


def block(field, content):
    content = content.encode() if isinstance(content, str) else content
    return varint(field << 3 | 2) + varint(len(content)) + content


def node(op, inputs, output, **attributes):
    body = b"".join(block(1, name) for name in inputs) + block(2, output) + block(4, op)
    for name, value in attributes.items():
        body += block(5, block(1, name) + number(3, value) + number(20, 2))
    return block(1, body)


def constant(name, kind, shape, values):
    raw = struct.pack(f"<{len(values)}{'f' if kind == FLOAT else 'q'}", *values)
    return block(5, b"".join(number(1, size) for size in shape) + number(2, kind) + block(8, name) + block(9, raw))


def tensor(field, name, kind, shape):
    sizes = b"".join(block(1, number(1, size) if isinstance(size, int) else block(2, size)) for size in shape)
    return block(field, block(1, name) + block(2, block(1, number(1, kind) + block(2, sizes))))


def model(has_speakers):
    graph = node("Cast", ["input"], "ids", to=FLOAT)
    graph += node("Unsqueeze", ["ids", "two"], "column")
    graph += node("Tile", ["column", "repeats"], "held")
    graph += node("Reshape", ["held", "row"], "line")
    graph += node("Gather", ["scales", "one"], "length", axis=0)
    graph += node("Mul", ["line", "length"], "longer")
    graph += node("Cast", ["input_lengths"], "count", to=FLOAT)
    graph += node("Mul", ["longer", "count"], "counted")
    last = "counted"
    if has_speakers:
        graph += node("Cast", ["sid"], "speaker", to=FLOAT)
        graph += node("Add", ["speaker", "unit"], "above")
        graph += node("Mul", ["counted", "above"], "spoken")
        last = "spoken"
    graph += node("Mul", [last, "small"], "output")
    graph += block(2, "tiny")
    graph += constant("two", INT64, [1], [2])
    graph += constant("repeats", INT64, [3], [1, 1, 64])
    graph += constant("row", INT64, [4], [1, 1, 1, -1])
    graph += constant("one", INT64, [], [1])
    graph += constant("small", FLOAT, [], [1 / 65536])
    if has_speakers:
        graph += constant("unit", FLOAT, [], [1.0])
    graph += tensor(11, "input", INT64, [1, "phonemes"])
    graph += tensor(11, "input_lengths", INT64, [1])
    graph += tensor(11, "scales", FLOAT, [3])
    if has_speakers:
        graph += tensor(11, "sid", INT64, [1])
    graph += tensor(12, "output", FLOAT, [1, 1, 1, "samples"])
    return number(1, 8) + block(2, "harmony") + block(7, graph) + block(8, block(1, "") + number(2, 13))


here = Path(__file__).parent
(here / "tiny.onnx").write_bytes(model(False))
(here / "tiny-speakers.onnx").write_bytes(model(True))
