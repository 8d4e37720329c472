"""The nodes of `rerank.train.comparison`, for the scorer's graph."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from rerank.train.graph import GraphWriter

HEADS = 4
MASKED = -1e4  # logit of padding
NORM_EPS = 1e-5
CONTRIB = "com.microsoft"


def compare(
    writer: GraphWriter, query: str, query_mask: str, passage: str, passage_mask: str, similarity: str
) -> str:
    """Write the comparison of pairs.

    :param writer: gets the nodes.
    :param query: name of the query tokens as they are compared, (pairs, a, view), with their mask.
    :param passage: name of the passage tokens alike, (pairs, b, view), with their mask.
    :param similarity: name of the cosine of the final states, (pairs, a, b).
    :return: name of the logits, (pairs,).
    """
    op, weight, last = writer.op, writer.weight, writer.axes("last", -1)
    one = writer.const("one.float", np.float32(1))
    absent = op("Mul", op("Sub", passage_mask, one), writer.const("far", np.float32(-MASKED)))
    likeness = op("Mul", similarity, weight("comparison.alignment_scale"))
    likeness = op("Add", likeness, op("Unsqueeze", absent, writer.axes("one", 1)))
    aligned = op("MatMul", op("Softmax", likeness, axis=-1), passage)
    difference = op("Abs", op("Sub", query, aligned))
    features = op("Concat", query, aligned, op("Mul", query, aligned), difference, axis=-1)
    states = _gelu(writer, features, "comparison.compare")
    query_tokens, passage_tokens = (op("Cast", mask, to=6) for mask in (query_mask, passage_mask))
    for number in range(writer.shape["blocks"]):
        place = f"comparison.blocks.{number}"
        normed = _norm(writer, states, f"{place}.own_norm")
        states = op("Add", states, _attention(writer, normed, normed, query_tokens, f"{place}.own"))
        normed = _norm(writer, states, f"{place}.other_norm")
        states = op("Add", states, _attention(writer, normed, passage, passage_tokens, f"{place}.other"))
        inner = _gelu(writer, _norm(writer, states, f"{place}.inner_norm"), f"{place}.up")
        states = op("Add", states, writer.product(inner, f"{place}.down"))
    states = _norm(writer, states, "comparison.norm")
    first = op("Gather", states, writer.const("first", np.int64(0)), axis=1)
    pooled = op("Concat", writer.mean(states, query_mask), first, axis=-1)
    column = writer.const("comparison.out.matrix", writer.weights["comparison.out.weight"].T)
    return op("Squeeze", op("MatMul", pooled, column), last)


def _attention(writer: GraphWriter, states: str, other: str, mask: str, place: str) -> str:
    """From states to other, whose mask tells the tokens."""
    query = writer.product(states, f"{place}.query")
    key, value = (writer.product(other, f"{place}.{part}") for part in ("key", "value"))
    mixed = writer.op(
        "MultiHeadAttention", query, key, value, "", mask,
        domain=CONTRIB, num_heads=HEADS, mask_filter_value=MASKED,
    )  # fmt: skip
    return writer.product(mixed, f"{place}.out")


def _norm(writer: GraphWriter, states: str, name: str) -> str:
    """Layer normalisation."""
    gain, bias = writer.weight(f"{name}.weight"), writer.weight(f"{name}.bias")
    return writer.op("LayerNormalization", states, gain, bias, epsilon=NORM_EPS)


def _gelu(writer: GraphWriter, states: str, name: str) -> str:
    """A linear layer and its activation."""
    product = writer.product(states, name, biased=False)
    return writer.op("FastGelu", product, writer.weight(f"{name}.bias"), domain=CONTRIB)
