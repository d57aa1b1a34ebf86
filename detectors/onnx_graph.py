"""ONNX models put together by hand: what every detector's twin has in common.

All take ``X`` float[n, width] and give ``score`` double[n]. Trees compute in float32, distances in double.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

from .standardiser import Standardiser

OPSET = 18
ML_OPSET = 3
IR_VERSION = 9


class Graph:
    """Nodes and constants of a model under construction; each method adds one node and returns its output's name."""

    def __init__(self) -> None:
        self._nodes: list[onnx.NodeProto] = []
        self._constants: dict[str, onnx.TensorProto] = {}

    def constant(self, value: NDArray[Any]) -> str:
        """Add a constant tensor."""
        name = f"c{len(self._constants)}"
        self._constants[name] = numpy_helper.from_array(np.ascontiguousarray(value), name)
        return name

    def number(self, value: float) -> str:
        """Add a double scalar."""
        return self.constant(np.asarray(value, dtype=np.float64))

    def integers(self, *values: int) -> str:
        """Add an int64 vector."""
        return self.constant(np.asarray(values, dtype=np.int64))

    def add(self, operation: str, *inputs: str, **attributes: Any) -> str:
        """Add a node of the standard operators."""
        output = f"n{len(self._nodes)}"
        self._nodes.append(helper.make_node(operation, list(inputs), [output], **attributes))
        return output

    def extend(self, nodes: list[onnx.NodeProto]) -> None:
        """Add ready-made nodes."""
        self._nodes.extend(nodes)

    def smallest(self, source: str, count: int) -> str:
        """The `count` smallest values of each row."""
        values, places = f"n{len(self._nodes)}", f"p{len(self._nodes)}"
        inputs = [source, self.integers(count)]
        self._nodes.append(helper.make_node("TopK", inputs, [values, places], axis=1, largest=0))
        return values

    def double(self, source: str) -> str:
        """Cast to double."""
        return self.add("Cast", source, to=TensorProto.DOUBLE)

    def standardised(self, columns: list[int], standardiser: Standardiser) -> str:
        """Choose the columns of ``X`` and standardise them: double[n, d]."""
        chosen = self.add("Gather", "X", self.constant(np.asarray(columns, dtype=np.int64)), axis=1)
        centred = self.add("Sub", self.double(chosen), self.constant(standardiser.mean))
        scaled = self.add("Div", centred, self.constant(standardiser.scale))
        return self.add("Clip", scaled, self.number(-standardiser.clip), self.number(standardiser.clip))

    def squares(self, points: str, reference: NDArray[np.float64]) -> str:
        """Squared distances double[n, m] of double[n, d] points to double[m, d] rows: |p|^2 + |r|^2 - 2 p.r."""
        own = self.add("ReduceSumSquare", points, self.integers(1), keepdims=1)
        theirs = self.constant(np.square(reference).sum(axis=1))
        product = self.add("MatMul", points, self.constant(reference.T))
        crossed = self.add("Mul", product, self.number(-2.0))
        return self.add("Max", self.add("Add", self.add("Add", crossed, theirs), own), self.number(0.0))

    def finish(self, source: str, width: int, name: str) -> bytes:
        """Give `source` (n values of any shape and type) out as ``score`` and serialise the checked model."""
        flat = self.add("Reshape", source, self.integers(-1))
        self._nodes.append(helper.make_node("Cast", [flat], ["score"], to=TensorProto.DOUBLE))
        graph = helper.make_graph(
            self._nodes,
            name,
            [helper.make_tensor_value_info("X", TensorProto.FLOAT, ["n", width])],
            [helper.make_tensor_value_info("score", TensorProto.DOUBLE, ["n"])],
            list(self._constants.values()),
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        model = helper.make_model(graph, opset_imports=opsets, producer_name="safepickle")
        model.ir_version = IR_VERSION
        onnx.checker.check_model(model)
        return bytes(model.SerializeToString(deterministic=True))
