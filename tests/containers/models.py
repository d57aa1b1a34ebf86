"""Models of other frameworks for the tests, made byte by byte: Protocol Buffers, GGUF, TensorFlow Lite, safetensors."""

from __future__ import annotations

import json
import struct

import flatbuffers


def varint(value: int) -> bytes:
    low = [value >> shift & 0x7F for shift in range(0, max(value.bit_length(), 1), 7)]
    return bytes([*(byte | 0x80 for byte in low[:-1]), low[-1]])


def field(number: int, *data: bytes | str) -> bytes:
    body = b"".join(part.encode() if isinstance(part, str) else part for part in data)
    return varint(number << 3 | 2) + varint(len(body)) + body


def node(name: str, operator: str, *inputs: str, text: str | None = None) -> bytes:
    """A node of a graph of TensorFlow."""
    value = b"" if text is None else field(5, field(1, "value"), field(2, field(8, b"\x08\x07", field(8, text))))
    return field(1, name) + field(2, operator) + b"".join(field(3, given) for given in inputs) + value


def saved_model(nodes: tuple[bytes, ...], inner: tuple[bytes, ...] = ()) -> bytes:
    """A SavedModel with nodes in its graph, and in a function of it."""
    function = field(1, field(1, b"\n\x01f"), *(field(3, one) for one in inner)) if inner else b""
    graph = b"".join(field(1, one) for one in nodes) + (field(2, function) if function else b"")
    return b"\x08\x01" + field(2, field(1, field(1, "v1")), field(2, graph))


def onnx_of(*graph: bytes, more: bytes = b"") -> bytes:
    """An ONNX model with these fields in its graph, and more behind it."""
    return b"\x08\x08" + field(2, "p") + field(7, *graph) + more


def onnx_external(location: str) -> bytes:
    """A tensor, as a field of a graph, whose data lie in another file."""
    return field(5, field(8, "w"), field(13, field(1, "location"), field(2, location)), b"\x70\x01")


def onnx_node(operator: str, domain: str = "", *more: bytes) -> bytes:
    """A node, as a field of a graph of ONNX."""
    return field(1, field(4, operator), field(7, domain) if domain else b"", *more)


def gguf_text(value: str) -> bytes:
    return struct.pack("<Q", len(value.encode())) + value.encode()


def gguf_of(pairs: list[tuple[str, int, bytes]]) -> bytes:
    """A GGUF model of keys with the number of a type and a value."""
    keys = b"".join(gguf_text(key) + struct.pack("<I", kind) + value for key, kind, value in pairs)
    return b"GGUF" + struct.pack("<IQQ", 3, 0, len(pairs)) + keys + bytes(64)


def gguf_model(template: str) -> bytes:
    """A GGUF model with a vocabulary and a chat template."""
    tokens = struct.pack("<IQ", 8, 3) + b"".join(gguf_text(token) for token in ("a", "{{ b }}", ""))
    return gguf_of([
        ("general.architecture", 8, gguf_text("llama")), ("llama.block_count", 4, struct.pack("<I", 2)),
        ("tokenizer.ggml.tokens", 9, tokens), ("tokenizer.ggml.scores", 9, struct.pack("<IQ3f", 6, 3, 0, 1, 2)),
        ("tokenizer.chat_template", 8, gguf_text(template)), ("general.quantized", 7, b"\1"),
    ])  # fmt: skip


def safetensors_of(metadata: dict[str, str]) -> bytes:
    header = json.dumps({"__metadata__": metadata}).encode()
    return struct.pack("<Q", len(header)) + header + bytes(16)


def tflite_of(*names: str) -> bytes:
    """A TensorFlow Lite model with one operator of its own, and custom ones of these names."""
    builder = flatbuffers.Builder(0)
    texts = [builder.CreateString(name) for name in names]
    codes = []
    for text in (0, *texts):
        builder.StartObject(4)
        builder.PrependInt8Slot(0, 32 if text else 3, 0)
        if text:
            builder.PrependUOffsetTRelativeSlot(1, text, 0)
        codes.append(builder.EndObject())
    builder.StartVector(4, len(codes), 4)
    for code in reversed(codes):
        builder.PrependUOffsetTRelative(code)
    vector = builder.EndVector()
    builder.StartObject(8)
    builder.PrependUint32Slot(0, 3, 0)
    builder.PrependUOffsetTRelativeSlot(1, vector, 0)
    builder.Finish(builder.EndObject(), file_identifier=b"TFL3")
    return bytes(builder.Output())
