"""The late-crossing cross-encoder as an ONNX graph, written node by node.

Written and not traced, because each layer is then eleven nodes of onnxruntime's fused kernels and the 8-bit
products are where they are wanted. Activations are quantized with scales measured once on training text, not
with those of the batch at hand: a pair's score does not depend on what it is batched with.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]
CONTRIB = "com.microsoft"
OPSET = 17
NORM_EPS = 1e-12  # BERT's
MASKED = -1e4  # logit of padding
STEPS = 127.0  # levels on each side of zero in 8 signed bits


@dataclass(frozen=True, slots=True)
class Range:
    """What the input of a matrix product was seen to span.

    :param low: smallest value kept.
    :param high: largest value kept.
    """

    low: float
    high: float

    def scale(self) -> np.float32:
        """Width of one of 255 steps."""
        return np.float32(max(self.high, 0.0) - min(self.low, 0.0)) / np.float32(255.0)

    def zero(self) -> np.uint8:
        """Step that stands for 0."""
        return np.uint8(np.clip(round(-min(self.low, 0.0) / float(self.scale())), 0, 255))


@dataclass(slots=True)
class GraphWriter:
    """Collects nodes and constants, and writes each layer of the model.

    :param weights: the model's tensors by name.
    :param shape: layers, join, hidden, heads (see `rerank.train.model.Architecture`).
    :param ranges: range of each matrix product's input; None writes a float32 graph.
    """

    weights: Mapping[str, Array]
    shape: Mapping[str, int]
    ranges: Mapping[str, Range] | None = None
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    count: int = 0

    def model(self) -> Any:
        """Write the whole graph.

        :return: an onnx ModelProto with inputs query_ids, query_mask, passage_ids, passage_mask and
            query_index, and output logits.
        """
        from onnx import TensorProto, helper, numpy_helper

        query, query_mask = self._apart("query")
        passage, passage_mask = self._apart("passage")
        query = self.op("Gather", query, "query_index", axis=0)
        query_mask = self.op("Gather", query_mask, "query_index", axis=0)
        self._head(*self._together(query, query_mask, passage, passage_mask), query_mask, passage_mask)
        integers, floats = TensorProto.INT64, TensorProto.FLOAT
        inputs = [
            helper.make_tensor_value_info("query_ids", integers, ["queries", "query_length"]),
            helper.make_tensor_value_info("query_mask", floats, ["queries", "query_length"]),
            helper.make_tensor_value_info("passage_ids", integers, ["passages", "passage_length"]),
            helper.make_tensor_value_info("passage_mask", floats, ["passages", "passage_length"]),
            helper.make_tensor_value_info("query_index", integers, ["passages"]),
        ]
        outputs = [helper.make_tensor_value_info("logits", floats, ["passages"])]
        constants = [numpy_helper.from_array(v.copy(order="C"), name) for name, v in self.constants.items()]
        graph = helper.make_graph(self.nodes, "late_crossing_cross_encoder", inputs, outputs, constants)
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid(CONTRIB, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=9)

    def op(self, kind: str, *inputs: str, outputs: int = 1, domain: str = "", **attributes: Any) -> str:
        """Add a node and return the name of its first output."""
        from onnx import helper

        self.count += 1
        names = [f"{kind.lower()}_{self.count}" + (f"_{n}" if n else "") for n in range(outputs)]
        self.nodes.append(helper.make_node(kind, list(inputs), names, domain=domain, **attributes))
        return names[0]

    def const(self, name: str, value: Any) -> str:
        """Add a constant once and return its name."""
        self.constants.setdefault(name, np.asarray(value))
        return name

    def weight(self, name: str) -> str:
        """Add one of the model's tensors as float32."""
        return self.const(name, self.weights[name].astype(np.float32))

    def _apart(self, text: str) -> tuple[str, str]:
        """The lower layers over one of the two texts; return states and mask."""
        states, mask = self._embed(f"{text}_ids"), f"{text}_mask"
        for number in range(self.shape["join"]):
            states = self._layer(states, mask, f"lower.{number}")
        return states, mask

    def _together(self, query: str, query_mask: str, passage: str, passage_mask: str) -> tuple[str, str]:
        """The upper layers over both texts; return the states of each."""
        segments = self.weights["segments"].astype(np.float32)
        query_length = self.op("Shape", query, start=1, end=2)
        query = self.op("Add", query, self.const("segments.0", segments[0]))
        passage = self.op("Add", passage, self.const("segments.1", segments[1]))
        states = self.op("Concat", query, passage, axis=1)
        mask = self.op("Concat", query_mask, passage_mask, axis=1)
        for number in range(self.shape["layers"] - self.shape["join"]):
            states = self._layer(states, mask, f"upper.{number}")
        end = self.const("end", np.array([2**31], np.int64))
        zero, axis = self.const("zero", np.array([0], np.int64)), self.const("one", np.array([1], np.int64))
        first = self.op("Slice", states, zero, query_length, axis)
        return first, self.op("Slice", states, query_length, end, axis)

    def _embed(self, ids: str) -> str:
        """Word and position embeddings, normalised; words in 8 bits, a scale a row, in the 8-bit graph."""
        table = self.weights["words.weight"].astype(np.float32)
        if self.ranges is None:
            words = self.op("Gather", self.const("words", table), ids)
        else:
            scale = np.maximum(np.abs(table).max(axis=1, keepdims=True), 1e-9) / STEPS
            steps = self.const("words.steps", np.rint(table / scale).astype(np.int8))
            rows = self.op("Cast", self.op("Gather", steps, ids), to=1)
            words = self.op(
                "Mul", rows, self.op("Gather", self.const("words.scale", scale.astype(np.float32)), ids)
            )
        length = self.op("Shape", ids, start=1, end=2)
        zero, axis = self.const("zero", np.array([0], np.int64)), self.const("axis", np.array([0], np.int64))
        positions = self.op("Slice", self.weight("positions.weight"), zero, length, axis)
        return self.op(
            "LayerNormalization",
            self.op("Add", words, positions),
            self.weight("embedding_norm.weight"),
            self.weight("embedding_norm.bias"),
            epsilon=NORM_EPS,
        )

    def _layer(self, states: str, mask: str, place: str) -> str:
        """One transformer layer."""
        mixed = self._attention(states, mask, place)
        states = self._add_norm(
            self._product(mixed, f"{place}.attention_out"), states, place, "attention_out"
        )
        inner = self._product(states, f"{place}.up")
        inner = self.op("FastGelu", inner, self.weight(f"{place}.up.bias"), domain=CONTRIB)
        return self._add_norm(self._product(inner, f"{place}.down"), states, place, "down")

    def _attention(self, states: str, mask: str, place: str) -> str:
        """Self-attention with its three input products, by onnxruntime's fused kernel."""
        whole = self.op("Cast", mask, to=6)
        bias = self.weight(f"{place}.attention_in.bias")
        heads, name = self.shape["heads"], f"{place}.attention_in"
        if self.ranges is None:
            matrix = self.const(f"{name}.matrix", self.weights[f"{name}.weight"].T.astype(np.float32))
            return self.op(
                "Attention",
                states,
                matrix,
                bias,
                whole,
                domain=CONTRIB,
                num_heads=heads,
                mask_filter_value=MASKED,
            )
        steps, scale = self._quantized(name)
        quantized, span_scale, span_zero = self._quantize(states, name)
        weight_zero = self.const("weight.zero", np.int8(0))
        return self.op(
            "QAttention", quantized, steps, bias, span_scale, scale, whole, span_zero, weight_zero,
            domain=CONTRIB, num_heads=heads, mask_filter_value=MASKED,
        )  # fmt: skip

    def _product(self, states: str, name: str) -> str:
        """States times a matrix, bias not added."""
        if self.ranges is None:
            matrix = self.const(f"{name}.matrix", self.weights[f"{name}.weight"].T.astype(np.float32))
            return self.op("MatMul", states, matrix)
        steps, scale = self._quantized(name)
        quantized, span_scale, span_zero = self._quantize(states, name)
        return self.op("MatMulIntegerToFloat", quantized, steps, span_scale, scale, span_zero, domain=CONTRIB)

    def _quantize(self, states: str, name: str) -> tuple[str, str, str]:
        """States in 8 bits, with their scale and zero."""
        span = (self.ranges or {})[name]
        scale, zero = self.const(f"{name}.span", span.scale()), self.const(f"{name}.zero", span.zero())
        return self.op("QuantizeLinear", states, scale, zero), scale, zero

    def _quantized(self, name: str) -> tuple[str, str]:
        """A weight matrix in 8 bits with a scale for each column."""
        matrix = self.weights[f"{name}.weight"].T.astype(np.float32)
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9) / STEPS
        steps = np.rint(matrix / scale).astype(np.int8)
        return self.const(f"{name}.steps", steps), self.const(f"{name}.scale", scale.astype(np.float32))

    def _add_norm(self, states: str, skip: str, place: str, product: str) -> str:
        """Add the product's bias and the skipped states, and normalise."""
        norm = "attention_norm" if product == "attention_out" else "norm"
        return self.op(
            "SkipLayerNormalization", states, skip, self.weight(f"{place}.{norm}.weight"),
            self.weight(f"{place}.{norm}.bias"), self.weight(f"{place}.{product}.bias"),
            domain=CONTRIB, epsilon=NORM_EPS,
        )  # fmt: skip

    def _head(self, query: str, passage: str, query_mask: str, passage_mask: str) -> None:
        """Pooled cosine, weighted best matches and the learnt correction, added into `logits`."""
        query_mean, passage_mean = self._mean(query, query_mask), self._mean(passage, passage_mask)
        last = self.const("last", np.array([-1], np.int64))
        cosine = self.op(
            "ReduceSum", self.op("Mul", self._unit(query_mean), self._unit(passage_mean)), last, keepdims=0
        )
        match = self._match(query, passage, query_mask, passage_mask)
        first, axis = self.const("first", np.int64(0)), 1
        features = self.op(
            "Concat",
            self.op("Mul", query_mean, passage_mean),
            self.op("Abs", self.op("Sub", query_mean, passage_mean)),
            self.op("Gather", query, first, axis=axis),
            self.op("Gather", passage, first, axis=axis),
            axis=1,
        )
        inner = self.op(
            "Add", self.op("MatMul", features, self._stored("head_in")), self.weight("head_in.bias")
        )
        column = self.const("head_out.matrix", self.weights["head_out.weight"].T.astype(np.float32))
        learnt = self.op("MatMul", self.op("Tanh", inner), column)
        learnt = self.op("Add", self.op("Squeeze", learnt, last), self.weight("head_out.bias"))
        total = self.op("Mul", cosine, self.weight("cosine_scale"))
        total = self.op("Add", total, self.op("Mul", match, self.weight("match_scale")))
        self.nodes[-1].name = "similarity"
        total = self.op("Add", total, learnt)
        self.nodes[-1].output[0] = "logits"

    def _stored(self, name: str) -> str:
        """A matrix stored in 8 bits and used in 32: the head is small, and its input has no known range."""
        if self.ranges is None:
            return self.const(f"{name}.matrix", self.weights[f"{name}.weight"].T.astype(np.float32))
        steps, scale = self._quantized(name)
        return self.op("DequantizeLinear", steps, scale, axis=1)

    def _match(self, query: str, passage: str, query_mask: str, passage_mask: str) -> str:
        """Each query token's best match in the passage, weighted by what the token is worth."""
        turned = self.op("Transpose", self._unit(passage), perm=[0, 2, 1])
        similarity = self.op("MatMul", self._unit(query), turned)
        one, last = self.const("one.float", np.float32(1)), self.const("last", np.array([-1], np.int64))
        absent = self.op("Mul", self.op("Sub", passage_mask, one), self.const("four", np.float32(4)))
        absent = self.op("Unsqueeze", absent, self.const("one", np.array([1], np.int64)))
        best = self.op("ReduceMax", self.op("Add", similarity, absent), axes=[-1], keepdims=0)
        column = self.const("term_weight.matrix", self.weights["term_weight.weight"].T.astype(np.float32))
        weight = self.op(
            "Add", self.op("Squeeze", self.op("MatMul", query, column), last), self.weight("term_weight.bias")
        )
        padding = self.op("Mul", self.op("Sub", query_mask, one), self.const("far", np.float32(-MASKED)))
        weight = self.op("Softmax", self.op("Add", weight, padding), axis=-1)
        return self.op("ReduceSum", self.op("Mul", best, weight), last, keepdims=0)

    def _mean(self, states: str, mask: str) -> str:
        """Mean over the tokens that are not padding."""
        one, last = self.const("one", np.array([1], np.int64)), self.const("last", np.array([-1], np.int64))
        total = self.op(
            "ReduceSum", self.op("Mul", states, self.op("Unsqueeze", mask, last)), one, keepdims=0
        )
        return self.op("Div", total, self.op("ReduceSum", mask, one, keepdims=1))

    def _unit(self, states: str) -> str:
        """Rows scaled to length 1."""
        length = self.op("ReduceL2", states, axes=[-1], keepdims=1)
        return self.op("Div", states, self.op("Max", length, self.const("tiny", np.float32(1e-12))))
