"""Guard against regressions: measure the bundled models again and hold them to the committed figures.

``python -m eval.baselines DATA`` fails with a table where a figure fell below its committed interval;
``--update`` writes new ones. DATA is a folder of BEIR folders; the committed figures are in ``eval/results``.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from eval.cli.console import counted, messages, out, write_json
from eval.datasets import load_beir
from eval.evaluation import evaluate
from retriever import Retriever
from retriever.errors import RetrieverError, SourceError

RESULTS = Path(__file__).parent / "results"


@dataclass(frozen=True, slots=True)
class Figure:
    """One figure measured again.

    :param dataset: on which corpus.
    :param stage: of which stage.
    :param measure: which measure.
    :param committed: the committed mean.
    :param low: lower end of the committed 95 % interval.
    :param measured: the mean now.
    """

    dataset: str
    stage: str
    measure: str
    committed: float
    low: float
    measured: float

    @property
    def missed(self) -> bool:
        """Whether it fell below the interval."""
        return self.measured < self.low


def figures(committed: Mapping[str, Any], measured: Mapping[str, Any]) -> Iterator[Figure]:
    """Pair the committed figures of a corpus with new ones.

    :param committed: what `Evaluation.to_dict` gave then.
    :param measured: what it gives now.
    :return: every figure that both have.
    """
    for stage, before in committed["stages"].items():
        now = measured["stages"].get(stage)
        for measure, value in before["measures"].items() if now is not None else ():
            if measure in now["measures"]:
                mean = now["measures"][measure]["mean"]
                yield Figure(measured["dataset"], stage, measure, value["mean"], value["low"], mean)


def main(
    data: Annotated[Path, typer.Argument(help="Folder of BEIR folders.")],
    *,
    update: Annotated[bool, typer.Option(help="Write the new figures instead of failing.")] = False,
    rerank: Annotated[
        bool, typer.Option(help="Measure the reranker too, which takes most of the time.")
    ] = True,
    results: Annotated[Path, typer.Option(help="Folder of the committed figures.")] = RESULTS,
) -> None:
    """Measure the bundled models again on every corpus at hand."""
    try:
        found = list(_measure_all(data, results, rerank=rerank, update=update))
    except RetrieverError as error:
        messages.print(f"error: {error}", style="red", highlight=False, soft_wrap=True)
        raise typer.Exit(1) from error
    out.print(_table(found))
    missed = [figure for figure in found if figure.missed]
    if update:
        out.print(
            f"{len(missed)} figures below their old interval; the new ones are written.", highlight=False
        )
    elif missed:
        messages.print(
            f"{len(missed)} of {len(found)} figures fell below their committed interval", style="red"
        )
        raise typer.Exit(1)
    else:
        out.print(f"All {len(found)} figures hold.", highlight=False)


def _measure_all(data: Path, results: Path, *, rerank: bool, update: bool) -> Iterator[Figure]:
    """Measure corpus by corpus."""
    folders = sorted(path.parent for path in data.glob("*/corpus.jsonl"))
    if not folders:
        raise SourceError(f"{data} has no BEIR folders; give the folder that holds them")
    known = {path.stem: path for path in results.glob("*.json")}
    chosen = [folder for folder in folders if update or folder.name in known]
    if not chosen:
        raise SourceError(
            f"{results} has no figures for {', '.join(folder.name for folder in folders)}; "
            "write them with: python -m eval.baselines DATA --update"
        )
    for folder in chosen:
        committed = (
            json.loads(known[folder.name].read_text(encoding="utf-8")) if folder.name in known else None
        )
        # Figures of a sample are held to the same sample, which one seed draws.
        asked = None if committed is None or update else committed.get("queries")
        measured = _measure(folder, rerank=rerank, queries=asked)
        if committed is not None:
            yield from figures(committed, measured)
        if update:
            command = f"python -m eval.baselines {data} --update"
            write_json(results / f"{folder.name}.json", {"command": command, **measured})


def _measure(folder: Path, *, rerank: bool, queries: int | None) -> dict[str, Any]:
    """Measure the bundled models on one corpus."""
    dataset = load_beir(folder)
    if queries is not None:
        dataset = dataset.sample(queries)
    with Retriever.from_corpus(dataset.documents or ()) as retriever, counted(folder.name) as progress:
        return evaluate(dataset, retriever, rerank=rerank, progress=progress).to_dict()


def _table(found: list[Figure]) -> Table:
    """Lay out all figures; missed ones in red."""
    table = Table(title="Committed figures, measured again")
    for column in ("corpus", "stage", "measure"):
        table.add_column(column)
    for column in ("committed", "lower bound", "now", "change"):
        table.add_column(column, justify="right")
    for figure in found:
        numbers = (figure.committed, figure.low, figure.measured)
        table.add_row(
            figure.dataset,
            figure.stage,
            figure.measure,
            *(f"{number:.4f}" for number in numbers),
            f"{figure.measured - figure.committed:+.4f}",
            style="red" if figure.missed else None,
        )
    return table


if __name__ == "__main__":
    typer.run(main)
