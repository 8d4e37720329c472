"""Two layers of codes in one FAISS index: coarse ones, all scanned, and fine ones for the best of these."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import faiss
import numpy as np
from numpy.typing import NDArray

from retriever.index.faiss_engine import one_thread, rows_of_codes
from retriever.index.fast_scan import copy_codes, fast_scan, quicken

FloatArray = NDArray[np.float32]
IntArray = NDArray[np.int64]

PARTS = 2  # that cells are scanned in, beside each other: two cores read memory as fast as it gives

_FOUR = 4  # dimensions that one coarse code stands for
_EIGHT = 8  # dimensions that one fine code stands for, and its bits
_FINE = 384  # dimensions at the most; 512 take 16 bytes more, and find .009 more among 500 candidates
_TURNS = 5  # rounds of fitting the rotation; 15 found no more
_CELLS = 256  # all of them scanned: to leave the farthest fifth out cost .005 of recall, saved 1.5 ms of 11
_ORDERED = 1 / 1250  # of the passages, which fine codes order; about .988 of the 100 nearest of ten million


def layered_codes(dimensions: int, leading: int) -> tuple[Any, Any]:
    """Return an untrained FAISS index of both layers, and what it needs to live.

    Coarse codes are four bits for four of the leading dimensions, which a rotation prepares. What they blur,
    and the dimensions that follow, are fine codes: eight bits for eight dimensions.

    Ge, He, Ke and Sun, "Optimized Product Quantization", 2013 (the rotation); Jégou, Tavenard, Douze and
    Amsaleg, "Searching in one billion vectors: re-rank with source coding", 2011 (the layers).

    :param dimensions: width of the vectors.
    :param leading: dimensions that coarse codes are made from; a multiple of 8.
    """
    coarse, nearest = fast_scan(leading, shared=_FOUR, cells=_CELLS)
    width = _width(dimensions, leading)
    fine = faiss.IndexPQ(width, width // _EIGHT, 8, faiss.METRIC_INNER_PRODUCT)
    fine.pq.cp.min_points_per_centroid = 1  # fewer are warned of, once a code
    rotation: Any = faiss.OPQMatrix(leading, leading // _FOUR)
    rotation.niter = _TURNS
    rotated: Any = faiss.IndexPreTransform(rotation, coarse)
    rotated.prepend_transform(faiss.RemapDimensionsTransform(dimensions, leading, False))  # type: ignore[arg-type]
    cut = faiss.IndexPreTransform(
        faiss.RemapDimensionsTransform(dimensions, width, False),  # type: ignore[arg-type]
        fine,
    )
    # One file for both, by FAISS; filled and searched here, where only the best are looked up.
    return faiss.IndexRefine(rotated, cut), (nearest, rotation)


def fit(layers: Any, sample: FloatArray) -> None:
    """Fit all codes to vectors of shape (n, d)."""
    coarse, fine, rotation = _opened(layers)
    with one_thread():
        four_bits = faiss.ProductQuantizer(coarse.d, coarse.pq.M, 4)
        rotation.pq = four_bits  # by a pointer that keeps nothing alive
        rotation.train(np.ascontiguousarray(sample[:, : coarse.d]))
        rotation.pq = None
        coarse.train(rotation.apply(np.ascontiguousarray(sample[:, : coarse.d])))
        quicken(coarse)
        fine.train(_blurred(coarse, _rotated(rotation, sample, fine.d)))
    _trained(layers)


def copy_fitted(source: Any, target: Any) -> None:
    """Copy what was fitted, and no vectors: a clone would hold all of them twice."""
    ours, theirs = _opened(source), _opened(target)
    copy_codes(ours[0], theirs[0])
    for fitted, copy in ((ours[1].pq.centroids, theirs[1].pq.centroids), (ours[2].A, theirs[2].A)):
        faiss.copy_array_to_vector(faiss.vector_to_array(fitted), copy)
    _trained(target)


def add_vectors(layers: Any, vectors: FloatArray) -> None:
    """Add vectors of shape (n, d) to both layers."""
    coarse, fine, rotation = _opened(layers)
    rotated = _rotated(rotation, vectors, fine.d)
    coarse.add(np.ascontiguousarray(rotated[:, : coarse.d]))
    fine.add(_blurred(coarse, rotated))
    for whole in (layers.base_index, layers.refine_index, layers):
        whole.ntotal = coarse.ntotal


def bytes_in_codes(dimensions: int, leading: int) -> int:
    """Return the bytes of one passage's codes."""
    return leading // (2 * _FOUR) + _width(dimensions, leading) // _EIGHT


@dataclass(frozen=True, slots=True)
class Question:
    """One query, prepared to be compared with codes.

    :param leading: rotated leading dimensions, shape (1, leading).
    :param told: what each fine code adds to the similarity, shape (codes, 256).
    :param cells: of each part, the nearest first.
    """

    leading: FloatArray
    told: FloatArray
    cells: IntArray


class LayeredSearch:
    """Finds candidates by both layers.

    :param layers: the FAISS index that centers are taken from, once and not for every query.
    """

    def __init__(self, layers: Any) -> None:
        coarse, fine, self._rotation = _opened(layers)
        self._cells = faiss.downcast_index(coarse.quantizer).reconstruct_n(0, _CELLS)
        self._centers = faiss.vector_to_array(fine.pq.centroids).reshape(fine.pq.M, -1, _EIGHT)

    def question(self, query: FloatArray) -> Question:
        """Prepare a query of shape (d,)."""
        rotated = _rotated(self._rotation, query[None], self._centers.shape[0] * _EIGHT)
        told = np.einsum("mcd,md->mc", self._centers, rotated.reshape(-1, _EIGHT))
        leading = np.ascontiguousarray(rotated[:, : self._cells.shape[1]])
        nearest = np.argsort(-(self._cells @ leading[0]), kind="stable")
        # Dealt to and fro: each part begins with cells about as near, after which little of far ones is kept.
        dealt = nearest.reshape(-1, PARTS)
        dealt[1::2] = dealt[1::2, ::-1]
        return Question(leading, told, np.ascontiguousarray(dealt.T))

    def candidates(
        self, layers: Any, question: Question, part: int, k: int, selector: Any, reachable: int
    ) -> tuple[FloatArray, IntArray]:
        """Return approximate similarities and places of the k best in one part of the cells.

        :param part: from 0 to `PARTS`.
        :param k: how many, at the most.
        :param selector: FAISS's; None for all.
        :param reachable: how many vectors it lets through.
        """
        coarse, fine, _ = _opened(layers)
        wide = max(k, math.ceil(reachable * _ORDERED / PARTS))
        near, places = _scanned(coarse, question.leading, wide, question.cells[part], selector)
        # A column at a time, each looked up in its own kilobyte.
        for codes, table in zip(
            np.ascontiguousarray(rows_of_codes(fine).take(places, axis=0).T), question.told, strict=True
        ):
            near += table.take(codes)
        return best_of(near, places, k)


def best_of(near: FloatArray, places: IntArray, k: int) -> tuple[FloatArray, IntArray]:
    """Return the k best in any order; of equal ones at the end, the same for the same input."""
    if len(places) <= k:
        return near, places
    best = np.argpartition(-near, k - 1)[:k]
    return near[best], places[best]


def _scanned(
    coarse: Any, query: FloatArray, k: int, cells: IntArray, selector: Any
) -> tuple[FloatArray, IntArray]:
    """Return approximate similarities and places of the k best in some cells."""
    near, places = np.empty(k, dtype=np.float32), np.empty(k, dtype=np.int64)
    to_cells = np.zeros(len(cells), dtype=np.float32)  # codes are of whole vectors: it makes no difference
    pointer: Any = faiss.swig_ptr
    arrays = [pointer(each) for each in (cells, to_cells, near, places)]  # which keeps none of them alive
    parameters = faiss.SearchParametersIVF(sel=selector, nprobe=len(cells))  # type: ignore[call-arg]
    with one_thread():
        # FAISS's own wrapper takes no parameters here.
        coarse.search_preassigned_c(1, pointer(query), k, *arrays, False, parameters)
    there = places >= 0
    return near[there], places[there]


def _opened(layers: Any) -> tuple[Any, Any, Any]:
    """Return the coarse codes, the fine codes and the rotation before the coarse ones."""
    rotated: Any = faiss.downcast_index(layers.base_index)
    cut: Any = faiss.downcast_index(layers.refine_index)
    rotation = faiss.downcast_VectorTransform(rotated.chain.at(1))
    return faiss.downcast_index(rotated.index), faiss.downcast_index(cut.index), rotation


def _rotated(rotation: Any, vectors: FloatArray, width: int) -> FloatArray:
    """Return vectors with their leading dimensions rotated, shape (n, width)."""
    leading = rotation.apply(np.ascontiguousarray(vectors[:, : rotation.d_in], dtype=np.float32))
    return np.concatenate([leading, vectors[:, rotation.d_in : width]], axis=1, dtype=np.float32)


def _blurred(coarse: Any, rotated: FloatArray) -> FloatArray:
    """Return what coarse codes do not tell of rotated vectors."""
    leading = np.ascontiguousarray(rotated[:, : coarse.d])
    rest = rotated.copy()
    rest[:, : coarse.d] -= coarse.pq.decode(coarse.pq.compute_codes(leading))
    return rest


def _trained(layers: Any) -> None:
    for index in (*_opened(layers), layers.base_index, layers.refine_index, layers):
        index.is_trained = True


def _width(dimensions: int, leading: int) -> int:
    """Return how many dimensions fine codes are made from."""
    return max(leading, min(dimensions, _FINE) // _EIGHT * _EIGHT)
