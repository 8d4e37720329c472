"""The late-crossing cross-encoder as two ONNX graphs, written node by node.

The reader runs the lower layers over texts on their own; the scorer takes the states of queries and passages
from there. Apart, a text is read once however many pairs it is in, and at its own length: no padding.

Written and not traced, because each layer is then a handful of onnxruntime's fused kernels and the 8-bit
products are where they are wanted. Activations are quantized with scales measured once on training text, not
with those of the batch at hand: a pair's score does not depend on what it is batched with. LayerNormalization
stands beside an Add because onnxruntime's fused SkipLayerNormalization takes five times as long as both.
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


def write_graphs(
    weights: Mapping[str, Array], shape: Mapping[str, int], ranges: Mapping[str, Range] | None = None
) -> tuple[Any, Any]:
    """Write the model as onnx ModelProtos.

    :param weights: the model's tensors by name.
    :param shape: layers, join, hidden, heads (see `rerank.train.model.Architecture`).
    :param ranges: range of each matrix product's input; None writes float32 graphs.
    :return: the reader (input ids (texts, length), all of one length; output states (texts, length, hidden))
        and the scorer (inputs query, query_mask, passage, passage_mask, query_index and passage_index, the
        rows that make a pair; output logits (pairs, 2): pooled and token by token, to be added).
    """
    return _Writer(weights, shape, ranges).reader(), _Writer(weights, shape, ranges).scorer()


@dataclass(slots=True)
class _Writer:
    """Collects nodes and constants, and writes each layer of one graph."""

    weights: Mapping[str, Array]
    shape: Mapping[str, int]
    ranges: Mapping[str, Range] | None
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    count: int = 0

    def reader(self) -> Any:
        """The lower layers over texts on their own."""
        states = self._embed("ids")
        for number in range(self.shape["join"]):
            states = self._layer(states, None, f"lower.{number}")
        self.nodes[-1].output[0] = "states"
        hidden = self.shape["hidden"]
        return self._model("reader", {"ids": ("texts", "length")}, {"states": ("texts", "length", hidden)})

    def scorer(self) -> Any:
        """The upper layers over both texts of a pair, and the head."""
        query, query_mask, passage, passage_mask = (
            self.op("Gather", name, f"{name.removesuffix('_mask')}_index", axis=0)
            for name in ("query", "query_mask", "passage", "passage_mask")
        )
        if self.shape["layers"] > self.shape["join"]:
            query, passage = self._together(query, query_mask, passage, passage_mask)
        self._head(query, passage, query_mask, passage_mask)
        hidden = self.shape["hidden"]
        inputs = {
            "query": ("queries", "query_length", hidden),
            "query_mask": ("queries", "query_length"),
            "passage": ("passages", "passage_length", hidden),
            "passage_mask": ("passages", "passage_length"),
            "query_index": ("pairs",),
            "passage_index": ("pairs",),
        }
        return self._model("scorer", inputs, {"logits": ("pairs", 2)})

    def _model(self, name: str, inputs: Mapping[str, Any], outputs: Mapping[str, Any]) -> Any:
        """The nodes and constants so far as a ModelProto."""
        from onnx import TensorProto, helper, numpy_helper

        integers, floats = TensorProto.INT64, TensorProto.FLOAT

        def infos(entries: Mapping[str, Any]) -> list[Any]:
            return [
                helper.make_tensor_value_info(
                    entry, integers if entry.endswith(("ids", "index")) else floats, list(shape)
                )
                for entry, shape in entries.items()
            ]

        constants = [numpy_helper.from_array(v.copy(order="C"), name) for name, v in self.constants.items()]
        graph = helper.make_graph(
            self.nodes, f"late_crossing_{name}", infos(inputs), infos(outputs), constants
        )
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

    def _layer(self, states: str, mask: str | None, place: str) -> str:
        """One transformer layer; without a mask every token is attended to."""
        mixed = self._attention(states, mask, place)
        states = self._add_norm(
            self._product(mixed, f"{place}.attention_out"), states, f"{place}.attention_norm"
        )
        inner = self._product(states, f"{place}.up", biased=False)
        inner = self.op("FastGelu", inner, self.weight(f"{place}.up.bias"), domain=CONTRIB)
        return self._add_norm(self._product(inner, f"{place}.down"), states, f"{place}.norm")

    def _attention(self, states: str, mask: str | None, place: str) -> str:
        """Self-attention by onnxruntime's fused kernel; the three products before it share their input."""
        name = f"{place}.attention_in"
        prepared = self._quantize(states, name) if self.ranges is not None else None
        query, key, value = (self._product(states, name, part, prepared) for part in range(3))
        inputs = [query, key, value]
        if mask is not None:
            inputs += ["", self.op("Cast", mask, to=6)]
        heads = self.shape["heads"]
        return self.op(
            "MultiHeadAttention", *inputs, domain=CONTRIB, num_heads=heads, mask_filter_value=MASKED
        )

    def _product(
        self,
        states: str,
        name: str,
        part: int | None = None,
        prepared: tuple[str, str, str] | None = None,
        *,
        biased: bool = True,
    ) -> str:
        """States times a matrix or one third of it, plus its bias."""
        matrix = self.weights[f"{name}.weight"].T.astype(np.float32)
        bias = self.weights[f"{name}.bias"].astype(np.float32)
        if part is not None:
            columns = slice(part * matrix.shape[0], (part + 1) * matrix.shape[0])
            matrix, bias, stored = matrix[:, columns], bias[columns], f"{name}.{part}"
        else:
            stored = name
        if self.ranges is None:
            product = self.op("MatMul", states, self.const(f"{stored}.matrix", matrix))
            return self.op("Add", product, self.const(f"{stored}.bias", bias)) if biased else product
        steps, scale = self._quantized(stored, matrix)
        quantized, span_scale, span_zero = prepared or self._quantize(states, name)
        inputs = [quantized, steps, span_scale, scale, span_zero]
        if biased:
            inputs += ["", self.const(f"{stored}.bias", bias)]
        return self.op("MatMulIntegerToFloat", *inputs, domain=CONTRIB)

    def _quantize(self, states: str, name: str) -> tuple[str, str, str]:
        """States in 8 bits, with their scale and zero."""
        span = (self.ranges or {})[name]
        scale, zero = self.const(f"{name}.span", span.scale()), self.const(f"{name}.zero", span.zero())
        return self.op("QuantizeLinear", states, scale, zero), scale, zero

    def _quantized(self, name: str, matrix: Array) -> tuple[str, str]:
        """A matrix in 8 bits with a scale for each column."""
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9) / STEPS
        steps = np.rint(matrix / scale).astype(np.int8)
        return self.const(f"{name}.steps", steps), self.const(f"{name}.scale", scale.astype(np.float32))

    def _add_norm(self, states: str, skip: str, norm: str) -> str:
        """Add the skipped states, and normalise."""
        gain, bias = self.weight(f"{norm}.weight"), self.weight(f"{norm}.bias")
        return self.op("LayerNormalization", self.op("Add", states, skip), gain, bias, epsilon=NORM_EPS)

    def _head(self, query: str, passage: str, query_mask: str, passage_mask: str) -> None:
        """Pooled cosine with the learnt correction, and weighted best matches, side by side in `logits`."""
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
        pooled = self.op("Add", self.op("Mul", cosine, self.weight("cosine_scale")), learnt)
        matched = self.op("Mul", match, self.weight("match_scale"))
        self.op("Concat", *(self.op("Unsqueeze", part, last) for part in (pooled, matched)), axis=1)
        self.nodes[-1].output[0] = "logits"

    def _stored(self, name: str) -> str:
        """A matrix stored in 8 bits and used in 32: the head is small, and its input has no known range."""
        matrix = self.weights[f"{name}.weight"].T.astype(np.float32)
        if self.ranges is None:
            return self.const(f"{name}.matrix", matrix)
        steps, scale = self._quantized(name, matrix)
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
