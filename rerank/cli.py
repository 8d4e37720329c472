"""`retriever rerank-train`."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from enum import StrEnum
from functools import partial
from importlib.metadata import entry_points
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from rerank.train.lists import RankingList
    from rerank.train.pairs import FirstStage
    from rerank.train.teachers import TeacherVectors

DEFAULTS = "rerank.defaults"  # entry points: the bundled model and the first stage live on a higher floor


class LabelLoss(StrEnum):
    """What labels teach by."""

    listwise = "listwise"
    pairwise = "pairwise"


class TeacherLoss(StrEnum):
    """What teachers teach by."""

    divergence = "divergence"
    margin = "margin"


class Mining(StrEnum):
    """Where negatives come from."""

    first_stage = "first-stage"
    random = "random"


def rerank_train(
    pairs: Annotated[
        Path,
        typer.Argument(
            metavar="PAIRS",
            help="JSONL, CSV or TSV with query, document, label (none: a click), or with query, positive, "
            "negative; or ranking lists.",
            show_default=False,
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the reranker.", show_default=False)
    ],
    start: Annotated[
        Path | None,
        typer.Option(help="Reranker or sentence encoder to start from.", show_default="the bundled reranker"),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Optimizer steps of 16 lists.")] = 300,
    layers: Annotated[
        int | None,
        typer.Option(min=2, help="Layers kept; they first learn to read as all do.", show_default="all"),
    ] = None,
    loss: Annotated[LabelLoss, typer.Option(help="What labels teach by.")] = LabelLoss.listwise,
    teacher: Annotated[
        list[str] | None,
        typer.Option(
            help="Sentence encoder (folder or hub id) or 'bm25' whose order is learnt, too, or a teacher "
            "that the lists have scores of; may be given several times.",
            show_default="none",
        ),
    ] = None,
    teacher_loss: Annotated[
        TeacherLoss, typer.Option(help="What teachers teach by.")
    ] = TeacherLoss.divergence,
    teacher_weight: Annotated[
        float, typer.Option(min=0.0, help="Of the teachers' loss, beside the labels'.")
    ] = 0.3,
    negatives: Annotated[int, typer.Option(min=1, help="Wrong documents a query, given ones counted.")] = 7,
    mining: Annotated[Mining, typer.Option(help="Where further negatives come from.")] = Mining.first_stage,
    seed: Annotated[int, typer.Option(min=0, help="Of everything that is drawn.")] = 0,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Train a reranker on your own judgments or clicks; interrupted, the same command goes on."""
    _require_torch()
    from rich.console import Console

    from rerank.train import mine_lists, read_training_pairs
    from rerank.train.api import check_output, shorten, train
    from rerank.train.student import StudentSettings
    from rerank.train.trainer import Settings

    check_output(out)
    read = read_training_pairs(pairs)
    asked: list[str | TeacherVectors] = list(teacher or ())
    if isinstance(read, dict):
        asked = _loaded(teacher or (), out / "training" / "teachers")  # before the work: a name may be wrong
        lists = mine_lists(
            read, _first_stage() if mining is Mining.first_stage else None, negatives=negatives, seed=seed
        )
    else:
        lists = read
    if teacher:
        lists = _with_teachers(lists, asked, out / "training" / "teachers")
    settings = Settings(
        steps=steps, label_loss=loss.value, seed=seed,
        dev=min(300, len(lists) // 5), measure_every=max(1, steps // 5),
        teacher_loss=teacher_loss.value, teacher_weight=teacher_weight,
    )  # fmt: skip
    if teacher:
        weights = {Path(name).name: 1.0 / len(teacher) for name in teacher}
        settings = replace(settings, teachers=weights)
    begin = start or _bundled()
    if layers is not None:
        reading, shorter = StudentSettings(seed=seed), out / "shorter"
        with _bar(f"learning to read with {layers} layers", reading.steps) as progress:
            shorten(lists, start=begin, layers=layers, out=shorter, settings=reading, progress=progress)
        begin = shorter
    with _bar(f"training on {len(lists):,} lists", steps) as progress:
        done = train(lists, start=begin, out=out, settings=settings, progress=progress)
    console = Console()
    if as_json:
        console.print_json(
            json.dumps({"path": str(out), "lists": len(lists), "before": done.before, "after": done.after})
        )
        return
    before = f"{done.before['all']:.3f}" if done.before else "resumed"
    if done.after:
        console.print(f"dev nDCG@10 {before} -> {done.after['all']:.3f} on held-out lists")
        if done.before and done.after["all"] <= done.before["all"]:
            console.print("that is no better than the start: keep that, or train on more lists")
    else:
        console.print(
            f"not measured: of {len(lists):,} lists none with a relevant passage was held out; "
            "of five or more, a fifth is"
        )
    console.print(f"the reranker is in {out}; use it with --reranker {out}")


def _loaded(names: Sequence[str], cache: Path) -> list[str | TeacherVectors]:
    """Load the teachers that are encoders."""
    from rerank.train.teachers import BM25, TeacherVectors

    return [name if name == BM25 else TeacherVectors(name, cache / Path(name).name) for name in names]


def _with_teachers(
    lists: Sequence[RankingList], teachers: Sequence[str | TeacherVectors], cache: Path
) -> list[RankingList]:
    """Have teachers score the lists; what they read is kept, so an interrupted run goes on there, too."""
    from rerank.train.teachers import with_teachers

    for one in teachers:
        with _bar(f"{Path(one).name if isinstance(one, str) else one.name} reads", 100) as percent:
            lists = with_teachers(lists, [one], cache, progress=partial(_share, percent))
    return list(lists)


def _share(percent: Callable[..., None], done: int, of: int) -> None:
    """Move a bar of a hundred on."""
    percent(100 * done // of)


def _require_torch() -> None:
    """Say which extra is missing before any work is done."""
    from importlib.util import find_spec

    from rerank.errors import MissingExtraError

    if any(find_spec(name) is None for name in ("torch", "onnx")):
        raise MissingExtraError(
            "training needs torch and onnx; run: pip install 'two-stage-retriever[train]'"
        )


def _first_stage() -> FirstStage:
    """The project's own first stage, which lives above this package."""
    search: FirstStage = _default("first_stage")
    return search


def _bundled() -> Path:
    """Folder of the bundled reranker."""
    return Path(_default("model")())


def _default(name: str) -> Any:
    """What a higher floor offers under a name."""
    from rerank.errors import MissingExtraError

    entry = next(iter(entry_points(group=DEFAULTS, name=name)), None)
    if entry is None:
        raise MissingExtraError(
            f"no package offers {name!r} for rerank-train; pip install two-stage-retriever"
        )
    return entry.load()


@contextmanager
def _bar(title: str, total: int) -> Iterator[Callable[..., None]]:
    """A progress bar that is silent when not a terminal; moved on with a number, and a loss."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal) as bar:
        task = bar.add_task(title, total=total)

        def move(done: int, loss: float | None = None) -> None:
            told = title if loss is None else f"{title}, loss {loss:.3f}"
            bar.update(task, completed=done, description=told)

        yield move
