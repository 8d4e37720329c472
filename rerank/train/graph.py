"""The late-crossing cross-encoder as two ONNX graphs, written node by node.

The reader runs the encoder's layers over texts on their own; the scorer compares what was read of queries and
passages. Apart, a text is read once however many pairs it is in, and at its own length: no padding.

Written and not traced, because each layer is then a handful of onnxruntime's fused kernels and the 8-bit
products are where they are wanted. Activations are quantized with scales measured once on training text, not
with those of the batch at hand: a pair's score does not depend on what it is batched with. LayerNormalization
stands beside an Add because onnxruntime's fused SkipLayerNormalization takes five times as long as both.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from rerank.position_weights import DECAY, PASSAGE_DECAY, position_weights
from rerank.train.comparison_graph import CONTRIB, compare

Array = NDArray[Any]
OPSET = 17
NORM_EPS = 1e-12  # BERT's
STEPS = 127.0  # levels on each side of zero in 8 signed bits
# Products whose input is quantized, too: those that every token of a passage goes through. The comparison's
# others have few rows, and what they say of minimal pairs suffers.
QUANTIZED = re.compile(
    r"layers\.\d+\.(attention_in|attention_out|up|down)|comparison\.(view|.*\.other\.(key|value))"
)


@dataclass(frozen=True, slots=True)
class Range:
    """What the input of a matrix product was seen to span.

    :param low: smallest value kept.
    :param high: largest value kept.
    :param outside: channels in which a text's first token goes beyond, by far: every layer of a BERT has its
        largest numbers there (Sun et al. 2024, "Massive Activations in Large Language Models"). How far they
        are beyond is multiplied in 32 bits, for this one token.
    :param factors: what each channel is multiplied by before it is quantized, its weights being divided by
        it, so that channels span alike (Xiao et al. 2023, "SmoothQuant"); none where they do anyway. The ends
        are those after that.
    """

    low: float
    high: float
    outside: tuple[int, ...] = ()
    factors: tuple[float, ...] = ()

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
    :param shape: layers, compared, hidden, heads, view, blocks (see `rerank.train.model.Architecture`).
    :param ranges: range of each matrix product's input; None writes float32 graphs.
    :return: the reader (input ids (texts, length), all of one length; output states (texts, length,
        hidden + view): final states, and beside them the tokens as they are compared) and the scorer (inputs
        query, query_mask, passage, passage_mask, query_index and passage_index, the rows that make a pair;
        output logits (pairs, 3): pooled, token by token and compared, to be added).
    """
    return GraphWriter(weights, shape, ranges).reader(), GraphWriter(weights, shape, ranges).scorer()


@dataclass(slots=True)
class GraphWriter:
    """Collects nodes and constants, and writes each layer of one graph."""

    weights: Mapping[str, Array]
    shape: Mapping[str, int]
    ranges: Mapping[str, Range] | None
    nodes: list[Any] = field(default_factory=list)
    constants: dict[str, Array] = field(default_factory=dict)
    quantized: dict[str, tuple[str, str, str]] = field(default_factory=dict)
    beyond: dict[str, str] = field(default_factory=dict)
    evened: dict[str, str] = field(default_factory=dict)
    firsts: str = ""
    count: int = 0

    def reader(self) -> Any:
        """The layers over texts on their own."""
        states = self._embed("ids")
        after = [states]
        for number in range(self.shape["layers"]):
            states = self._layer(states, f"layers.{number}")
            after.append(states)
        compared = self.shape["compared"]
        middle = self.op("Concat", *after[compared - 1 : compared + 1], axis=-1)
        self.op("Concat", states, self.product(middle, "comparison.view"), axis=-1)
        self.nodes[-1].output[0] = "states"
        width = self.shape["hidden"] + self.shape["view"]
        return self._model("reader", {"ids": ("texts", "length")}, {"states": ("texts", "length", width)})

    def scorer(self) -> Any:
        """What two texts that were read say about each other."""
        query, query_mask, passage, passage_mask = (
            self.op("Gather", name, f"{name.removesuffix('_mask')}_index", axis=0)
            for name in ("query", "query_mask", "passage", "passage_mask")
        )
        (query, query_view), (passage, passage_view) = self._halves(query), self._halves(passage)
        similarity = self._similarity(query, passage)
        pooled = self._pooled(query, passage, query_mask, passage_mask)
        matched = self._matched(similarity, query_mask, passage_mask)
        compared = compare(self, query_view, query_mask, passage_view, passage_mask, similarity)
        last = self.axes("last", -1)
        self.op("Concat", *(self.op("Unsqueeze", part, last) for part in (pooled, matched, compared)), axis=1)
        self.nodes[-1].output[0] = "logits"
        width = self.shape["hidden"] + self.shape["view"]
        inputs = {
            "query": ("queries", "query_length", width),
            "query_mask": ("queries", "query_length"),
            "passage": ("passages", "passage_length", width),
            "passage_mask": ("passages", "passage_length"),
            "query_index": ("pairs",),
            "passage_index": ("pairs",),
        }
        return self._model("scorer", inputs, {"logits": ("pairs", 3)})

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

    def axes(self, name: str, axis: int) -> str:
        """Add an axis as the constant that operators take it as."""
        return self.const(name, np.array([axis], np.int64))

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
        positions = self._leading(self.weight("positions.weight"), ids)
        return self.op(
            "LayerNormalization",
            self.op("Add", words, positions),
            self.weight("embedding_norm.weight"),
            self.weight("embedding_norm.bias"),
            epsilon=NORM_EPS,
        )

    def _layer(self, states: str, place: str) -> str:
        """One transformer layer."""
        mixed = self._attention(states, place)
        states = self._add_norm(
            self.product(mixed, f"{place}.attention_out"), states, f"{place}.attention_norm"
        )
        inner = self.product(states, f"{place}.up", biased=False)
        inner = self.op("FastGelu", inner, self.weight(f"{place}.up.bias"), domain=CONTRIB)
        return self._add_norm(self.product(inner, f"{place}.down"), states, f"{place}.norm")

    def _attention(self, states: str, place: str) -> str:
        """Self-attention by onnxruntime's fused kernel; the three products before it share their input."""
        query, key, value = (self.product(states, f"{place}.attention_in", part) for part in range(3))
        heads = self.shape["heads"]
        return self.op("MultiHeadAttention", query, key, value, domain=CONTRIB, num_heads=heads)

    def product(self, states: str, name: str, part: int | None = None, *, biased: bool = True) -> str:
        """States times a matrix or one third of it, plus its bias."""
        matrix = self.weights[f"{name}.weight"].T.astype(np.float32)
        bias = self.weights[f"{name}.bias"].astype(np.float32)
        if part is not None:
            columns = slice(part * matrix.shape[0], (part + 1) * matrix.shape[0])
            matrix, bias, stored = matrix[:, columns], bias[columns], f"{name}.{part}"
        else:
            stored = name
        if self.ranges is not None and name in self.ranges:
            states, matrix = self._evened(states, matrix, name)
            steps, scale = self._quantized(stored, matrix)
            quantized, span_scale, span_zero = self._quantize(states, self.ranges[name], name)
            inputs = [quantized, steps, span_scale, scale, span_zero]
            if biased:
                inputs += ["", self.const(f"{stored}.bias", bias)]
            product = self.op("MatMulIntegerToFloat", *inputs, domain=CONTRIB)
            if not self.ranges[name].outside:
                return product
            rows = self.op("Gather", steps, self._outside(name), axis=0)  # all constant: folded when loaded
            rows = self.op("Mul", self.op("Cast", rows, to=1), scale)
            more = self.op("MatMul", self._beyond(states, name), rows)
            # In place, where an Add would go through all tokens.
            return self.op("ScatterND", product, self._first_tokens(states), more, reduction="add")
        if self.ranges is None:
            used = self.const(f"{stored}.matrix", matrix)
        else:  # stored in 8 bits and used in 32: small, and exact where little is to be multiplied
            used = self.op("DequantizeLinear", *self._quantized(stored, matrix), axis=1)
        product = self.op("MatMul", states, used)
        return self.op("Add", product, self.const(f"{stored}.bias", bias)) if biased else product

    def _evened(self, states: str, matrix: Array, name: str) -> tuple[str, Array]:
        """States whose channels span alike, once, where products share them; and the matrix for these."""
        factors = np.array(self._range(name).factors, np.float32)
        if not len(factors):
            return states, matrix
        if states not in self.evened:
            self.evened[states] = self.op("Mul", states, self.const(f"{name}.factors", factors))
        return self.evened[states], matrix / factors[:, None]

    def _quantize(self, states: str, span: Range, name: str) -> tuple[str, str, str]:
        """States in 8 bits, with their scale and zero: once, however many products share them."""
        if states not in self.quantized:
            scale, zero = self.const(f"{name}.span", span.scale()), self.const(f"{name}.zero", span.zero())
            self.quantized[states] = self.op("QuantizeLinear", states, scale, zero), scale, zero
        return self.quantized[states]

    def _outside(self, name: str) -> str:
        """The channels of a product's input in which first tokens go beyond its range."""
        return self.const(f"{name}.outside", np.array(self._range(name).outside, np.int64))

    def _beyond(self, states: str, name: str) -> str:
        """How far first tokens are beyond it, (texts, channels): once, where products share the states."""
        if states not in self.beyond:
            span = self._range(name)
            ends = [(end - float(span.zero())) * span.scale() for end in (0.0, 255.0)]
            low, high = (
                self.const(f"{name}.{which}", np.float32(end))
                for which, end in zip(("low", "high"), ends, strict=True)
            )
            first = self.op("Gather", states, self.const("first", np.int64(0)), axis=1)
            few = self.op("Gather", first, self._outside(name), axis=-1)
            self.beyond[states] = self.op("Sub", few, self.op("Clip", few, low, high))
        return self.beyond[states]

    def _first_tokens(self, states: str) -> str:
        """Where the first token of each text is, (texts, 2): made once."""
        if not self.firsts:
            count = self.op("Squeeze", self.op("Shape", states, start=0, end=1))
            numbers = self.op(
                "Range", self.const("first", np.int64(0)), count, self.const("one", np.int64(1))
            )
            rows = self.op("Unsqueeze", numbers, self.axes("last", -1))
            self.firsts = self.op("Concat", rows, self.op("Sub", rows, rows), axis=1)
        return self.firsts

    def _range(self, name: str) -> Range:
        """The range of a quantized product's input."""
        return (self.ranges or {})[name]

    def _quantized(self, name: str, matrix: Array) -> tuple[str, str]:
        """A matrix in 8 bits with a scale for each column."""
        scale = np.maximum(np.abs(matrix).max(axis=0), 1e-9) / STEPS
        steps = np.rint(matrix / scale).astype(np.int8)
        return self.const(f"{name}.steps", steps), self.const(f"{name}.scale", scale.astype(np.float32))

    def _add_norm(self, states: str, skip: str, norm: str) -> str:
        """Add the skipped states, and normalise."""
        gain, bias = self.weight(f"{norm}.weight"), self.weight(f"{norm}.bias")
        return self.op("LayerNormalization", self.op("Add", states, skip), gain, bias, epsilon=NORM_EPS)

    def _halves(self, read: str) -> tuple[str, str]:
        """What the reader gave: final states, and the tokens as they are compared."""
        split = self.const("split", np.array([self.shape["hidden"], self.shape["view"]], np.int64))
        first = self.op("Split", read, split, axis=-1, outputs=2)
        return first, f"{first}_1"

    def _similarity(self, query: str, passage: str) -> str:
        """Cosine of every query token and every passage token."""
        turned, lengths = (
            self.op("Transpose", part, perm=[0, 2, 1]) for part in (passage, self._length(passage))
        )
        # Passage tokens are scaled at the end: there are fewer products than numbers in their states.
        return self.op("Div", self.op("MatMul", self._unit(query), turned), lengths)

    def _pooled(self, query: str, passage: str, query_mask: str, passage_mask: str) -> str:
        """Cosine of the mean states, scaled."""
        counts = self._by_place(query_mask, DECAY), self._by_place(passage_mask, PASSAGE_DECAY)
        means = self._unit(self.mean(query, counts[0])), self._unit(self.mean(passage, counts[1]))
        cosine = self.op("ReduceSum", self.op("Mul", *means), self.axes("last", -1), keepdims=0)
        return self.op("Mul", cosine, self.weight("cosine_scale"))

    def _by_place(self, mask: str, decay: float) -> str:
        """What each token counts in the mean: early ones more."""
        places = len(self.weights["positions.weight"])
        weights = self.const(f"position_weights.{decay:g}", position_weights(decay, places=places))
        return self.op("Mul", mask, self._leading(weights, mask))

    def _leading(self, rows: str, states: str) -> str:
        """As many rows of a constant as there are tokens."""
        length = self.op("Shape", states, start=1, end=2)
        zero, axis = self.const("zero", np.array([0], np.int64)), self.const("axis", np.array([0], np.int64))
        return self.op("Slice", rows, zero, length, axis)

    def _matched(self, similarity: str, query_mask: str, passage_mask: str) -> str:
        """Mean over the query's tokens of the best match in the passage, scaled."""
        one, last = self.const("one.float", np.float32(1)), self.axes("last", -1)
        absent = self.op("Mul", self.op("Sub", passage_mask, one), self.const("four", np.float32(4)))
        absent = self.op("Unsqueeze", absent, self.axes("one", 1))
        best = self.op("ReduceMax", self.op("Add", similarity, absent), axes=[-1], keepdims=0)
        total = self.op("ReduceSum", self.op("Mul", best, query_mask), last, keepdims=0)
        match = self.op("Div", total, self.op("ReduceSum", query_mask, last, keepdims=0))
        return self.op("Mul", match, self.weight("match_scale"))

    def mean(self, states: str, mask: str) -> str:
        """Mean over the tokens, as they count in the mask."""
        one = self.axes("one", 1)
        total = self.op("Squeeze", self.op("MatMul", self.op("Unsqueeze", mask, one), states), one)
        return self.op("Div", total, self.op("ReduceSum", mask, one, keepdims=1))

    def _unit(self, states: str) -> str:
        """Rows scaled to length 1."""
        return self.op("Div", states, self._length(states))

    def _length(self, states: str) -> str:
        """Length of each row, never 0."""
        length = self.op("ReduceL2", states, axes=[-1], keepdims=1)
        return self.op("Max", length, self.const("tiny", np.float32(1e-12)))
