"""`train` and `shorten`: from ranking lists to a folder that `load_reranker` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rerank.errors import InvalidInputError
from rerank.train.batches import Collator
from rerank.train.checkpoint import has_checkpoint
from rerank.train.export import Parity, export
from rerank.train.lists import RankingList
from rerank.train.model import CrossEncoderModel
from rerank.train.start import spread_layers, start_from
from rerank.train.student import StudentSettings, StudentTrainer
from rerank.train.trainer import Settings, Trainer

WINDOW = 256


@dataclass(frozen=True, slots=True)
class Trained:
    """What a training came to.

    :param folder: `load_reranker` reads it.
    :param before: dev nDCG@10 before the first step, by kind of list and over "all"; empty when resumed.
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

    :param lists: what is learnt from; some are held out and measured on.
    :param start: folder of a reranker of this project (its 8-bit weights are read back) or of an encoder.
    :param out: gets model.onnx, tokenizer.json, config.json.
    :param settings: how; None suits some thousand lists.
    :param progress: called after each step with its number and loss.
    :return: figures before and after.
    :raises InvalidInputError: if there are no lists.
    :raises ModelError: if `start` is neither, or the export does not score as the model does.
    """
    _check(lists)
    folder = Path(out)
    chosen = settings or Settings()
    torch.manual_seed(chosen.seed)
    model, tokenizer = start_from(Path(start))
    trainer = Trainer(model, tokenizer, lists, folder / "training", chosen)
    before = {} if has_checkpoint(folder / "training") else trainer.measure()
    after = trainer.run(progress)
    trained = trainer.averaged().cpu()
    notes = {"window": _window(trained), "num_labels": 1, "training": asdict(chosen)}
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
    :param settings: how; None takes half an hour on two cores.
    :param progress: called after each step with its number and loss.
    :return: see `rerank.train.student.StudentTrainer.measure`.
    :raises InvalidInputError: if there are too few texts, or not so many layers.
    :raises ModelError: if `start` is neither, or the export does not score as the model does.
    """
    _check(lists)
    folder = Path(out)
    teacher, tokenizer = start_from(Path(start))
    kept = spread_layers(teacher.shape.layers, layers)
    tokenizer.no_padding()
    tokenizer.no_truncation()
    window = _window(teacher)
    collate = Collator(tokenizer, window, window, teachers={}, sharpness=1.0)
    texts = collate.passage_ids([text for one in lists for text in (one.query, *one.passages)])
    chosen = settings or StudentSettings()
    trainer = StudentTrainer(teacher, kept, texts, folder / "training", chosen)
    figures = trainer.run(progress)
    notes = {"window": window, "num_labels": 1, "layers_kept": kept, "training": asdict(chosen)}
    export(trainer.model.cpu(), tokenizer, list(lists), folder, settings=notes)
    return figures


def _window(model: CrossEncoderModel) -> int:
    """Return how many tokens of a pair are read."""
    return min(WINDOW, model.shape.positions)


def _check(lists: Sequence[RankingList]) -> None:
    """Refuse to train on nothing."""
    if not lists:
        raise InvalidInputError("there is no ranking list to train on; give at least one")
