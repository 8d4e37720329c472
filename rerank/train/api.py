"""`rerank.train.train`: from ranking lists to a folder that `load_reranker` reads."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import torch

from rerank.errors import InvalidInputError
from rerank.train.export import Parity, export
from rerank.train.lists import RankingList
from rerank.train.start import start_from
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
    layers: int | None = None,
    settings: Settings | None = None,
    progress: Callable[[int, float], None] | None = None,
) -> Trained:
    """Train a reranker and export it.

    Checkpoints are kept in `out`/training; the same call takes an interrupted training up where it was.

    :param lists: what is learnt from; some are held out and measured on.
    :param start: folder of a reranker of this project (its 8-bit weights are read back) or of an encoder.
    :param out: gets model.onnx, tokenizer.json, config.json.
    :param layers: transformer layers of the student, where it starts from an encoder; None for all.
    :param settings: how; None suits some thousand lists.
    :param progress: called after each step with its number and loss.
    :return: figures before and after.
    :raises InvalidInputError: if there are no lists.
    :raises ModelError: if `start` is neither, or the export does not score as the model does.
    """
    if not lists:
        raise InvalidInputError("there is no ranking list to train on; give at least one")
    folder = Path(out)
    chosen = settings or Settings()
    torch.manual_seed(chosen.seed)
    model, tokenizer = start_from(Path(start), layers=layers)
    trainer = Trainer(model, tokenizer, lists, folder / "training", chosen)
    before = {} if (folder / "training" / "latest").exists() else trainer.measure()
    after = trainer.run(progress)
    trained = trainer.averaged().cpu()
    notes = {"window": min(WINDOW, trained.shape.positions), "num_labels": 1, "training": asdict(chosen)}
    parity = export(trained, tokenizer, list(lists), folder, settings=notes)
    return Trained(folder, before, after, parity)
