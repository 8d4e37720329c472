"""`train` and `shorten`: from ranking lists to a folder that `load_reranker` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from rerank.calibration import Calibration
from rerank.errors import InvalidInputError
from rerank.folder import LATE_CROSSING
from rerank.output_folder import check_output_folder, config_of, config_says
from rerank.train.batches import Collator
from rerank.train.checkpoint import has_checkpoint
from rerank.train.export import Parity, export
from rerank.train.lists import RankingList
from rerank.train.loop import noted
from rerank.train.model import CrossEncoderModel
from rerank.train.start import spread_layers, start_from
from rerank.train.student import StudentSettings, StudentTrainer
from rerank.train.trainer import Settings, Trainer

WINDOW = 256
LEAST_HELD_OUT = 10  # lists; of fewer a calibration would say what chance says


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    :param folder: `load_reranker` reads it.
    :param before: dev nDCG@10 before the first step, by kind of list and over "all"; empty when resumed, or
        where no list with a relevant passage was held out.
    :param after: the same after the last.
    :param parity: how far the exported graph is from the trained model.
    """

    folder: Path
    before: dict[str, float]
    after: dict[str, float]
    parity: Parity


def train(
    lists: Sequence[RankingList],
    *,
    start: str | Path,
    out: str | Path,
    settings: Settings | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train a reranker and export it.

    Checkpoints are kept in `out`/training; the same call takes an interrupted training up where it was.
    The share in the blend and the rule of `depth="auto"` are those of the reranker it started from; the
    calibration is fitted on the lists held out, so a probability is that of lists such as those.

    :param lists: what is learnt from; some are held out and measured on.
    :param start: folder of a reranker of this project (its 8-bit weights are read back) or of an encoder.
    :param out: gets model.onnx, tokenizer.json, config.json.
    :param settings: how; None suits some thousand lists.
    :param progress: called after each step with its number and loss.
    :return: figures before and after.
    :raises InvalidInputError: if there are no lists, or `out` holds something else.
    :raises ModelError: if `start` is neither, or the export does not score as the model does.
    """
    folder = Path(out)
    _check(lists, folder)
    chosen = settings or Settings()
    torch.manual_seed(chosen.seed)
    model, tokenizer = start_from(Path(start))
    trainer = Trainer(model, tokenizer, lists, folder / "training", chosen)
    before = {} if has_checkpoint(folder / "training") else trainer.measure()
    after = trainer.run(progress)
    fitted = _carried(Path(start)) | _calibration(trainer)
    trained = trainer.averaged().cpu()
    notes = {"window": _window(trained), "num_labels": 1, **fitted, "training": noted(chosen)}
    parity = export(trained, tokenizer, list(lists), folder, settings=notes)
    return Trained(folder, before, after, parity)


def shorten(
    lists: Sequence[RankingList],
    *,
    start: str | Path,
    layers: int,
    out: str | Path,
    settings: StudentSettings | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> dict[str, float]:
    """Make a reranker with fewer layers, and teach it to read as the whole one does, without labels.

    Checkpoints are kept in `out`/training; the same call takes an interrupted training up where it was.

    :param lists: whose texts it learns from; thousands of them.
    :param start: folder of a reranker of this project (its 8-bit weights are read back) or of an encoder.
    :param layers: to keep, spread evenly.
    :param out: gets model.onnx, tokenizer.json, config.json; `train` can start from it.
    :param settings: how; None takes some forty minutes on two cores.
    :param progress: called after each step with its number and loss.
    :return: see `rerank.train.student.StudentTrainer.measure`.
    :raises InvalidInputError: if there are too few texts, not so many layers, or `out` holds something else.
    :raises ModelError: if `start` is neither, or the export does not score as the model does.
    """
    folder = Path(out)
    _check(lists, folder)
    teacher, tokenizer = start_from(Path(start))
    kept = spread_layers(teacher.shape.layers, layers)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    window = _window(teacher)
    collate = Collator(tokenizer, window, window, teachers={}, sharpness=1.0)
    texts = collate.passage_ids([text for one in lists for text in (one.query, *one.passages)])
    chosen = settings or StudentSettings()
    trainer = StudentTrainer(teacher, teacher.shortened(kept), texts, folder / "training", chosen)
    figures = trainer.run(progress)
    notes = {"window": window, "num_labels": 1, "layers_kept": kept, "training": noted(chosen)}
    notes |= _carried(Path(start))
    export(trainer.averaged().cpu(), tokenizer, list(lists), folder, settings=notes)
    return figures


def _window(model: CrossEncoderModel) -> int:
    """Return how many tokens of a pair are read."""
    return min(WINDOW, model.shape.positions)


def check_output(folder: Path) -> None:
    """Refuse to write over anything but a reranker of this project, or a training that was interrupted.

    :raises InvalidInputError: if the folder holds anything else, or cannot be written to.
    """

    def is_reranker(folder: Path) -> bool:
        begun = any((folder / name).is_dir() for name in ("training", "shorter"))
        return begun or config_says(folder, "format", LATE_CROSSING)

    check_output_folder(folder, replaceable=is_reranker)


def _check(lists: Sequence[RankingList], out: Path) -> None:
    """Refuse to train on nothing, or for nothing."""
    if not lists:
        raise InvalidInputError("there is no ranking list to train on; give at least one")
    check_output(out)


def _carried(start: Path) -> dict[str, Any]:
    """Return what was fitted for the start: its share in the blend, and when to stop."""
    config = config_of(start)
    if config.get("format") != LATE_CROSSING:
        return {}
    return {key: config[key] for key in ("recommended_weight", "stopping_tolerance") if key in config}


def _calibration(trainer: Trainer) -> dict[str, Any]:
    """Fit logits to relevance on the lists held out; nothing where those are too few."""
    scored = trainer.held_out_scores()
    if len(scored) < LEAST_HELD_OUT:
        return {}
    logits = np.concatenate([row for _, row in scored])
    relevant = np.concatenate([np.asarray(one.labels) > 0 for one, _ in scored])
    if relevant.all():
        return {}
    fitted = Calibration.fit(logits, relevant)
    return {"calibration": fitted.to_dict()} if fitted.slope > 0 else {}
