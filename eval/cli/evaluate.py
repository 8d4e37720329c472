"""`retriever eval`: what each stage reaches on judged queries."""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from time import perf_counter
from typing import Annotated, Literal

import typer

from eval.cli.console import counted, made_folder, out, print_json, write_json
from eval.datasets import Dataset
from eval.evaluation import Evaluation
from eval.evaluation import evaluate as run_evaluation
from eval.runs import write_qrels, write_run
from eval.sources import open_source
from eval.tables import evaluation_notes, evaluation_table
from retriever import Retriever
from retriever.config import BUNDLED, RetrieverConfig
from retriever.errors import InvalidInputError

DatasetArgument = Annotated[
    str, typer.Argument(metavar="DATASET", help="A BEIR folder, a collection's folder, or irds:ID.")
]
QuestionsOption = Annotated[
    Path | None,
    typer.Option(help="For a collection: CSV with the columns question, document_id and optionally grade."),
]
QueriesOption = Annotated[
    Path | None,
    typer.Option(help="For a collection: queries as JSON lines (_id, text) or id-tab-text; needs --qrels."),
]
QrelsOption = Annotated[Path | None, typer.Option(help="Judgments of --queries, TREC or BEIR format.")]
SplitOption = Annotated[str, typer.Option(help="Which judgments of a BEIR folder.")]
SampleOption = Annotated[int | None, typer.Option(min=1, help="Ask only this many queries, drawn at random.")]
EncoderOption = Annotated[str, typer.Option(help="'bundled', a folder or a hub id.")]
JsonOption = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]


def evaluate(
    dataset: DatasetArgument,
    *,
    questions: QuestionsOption = None,
    queries: QueriesOption = None,
    qrels: QrelsOption = None,
    split: SplitOption = "test",
    sample: SampleOption = None,
    encoder: EncoderOption = BUNDLED,
    dimensions: Annotated[int | None, typer.Option(min=1, help="Leading vector dimensions; all.")] = None,
    fusion: Annotated[Literal["zscore", "rrf"], typer.Option(help="How both lists become one.")] = "zscore",
    reranker: Annotated[
        str | None, typer.Option(help="'bundled', 'fast', a folder, a hub id, or 'none'; the configured one.")
    ] = None,
    depth: Annotated[int | None, typer.Option(min=1, help="Documents reranked for a query.")] = None,
    json: JsonOption = False,
    out_file: Annotated[
        Path | None, typer.Option("--out", help="Write the figures to this JSON file.")
    ] = None,
    runs: Annotated[
        Path | None, typer.Option(help="Write each stage's TREC run and the qrels into this folder.")
    ] = None,
) -> None:
    """Measure lexical, dense, hybrid and reranked search: nDCG@10, recall@100, MRR@10, MAP, time a query."""
    for folder in (runs, out_file and out_file.parent):
        if folder is not None:
            made_folder(folder)
    judged, retriever = open_source(
        dataset, questions=questions, queries=queries, qrels=qrels, split=split, reranker=reranker
    )
    if sample is not None:
        judged = judged.sample(sample)
    if retriever is None:
        config = RetrieverConfig(
            encoder=encoder,
            dimensions=dimensions,
            fusion=fusion,
            reranker=None if reranker == "none" else reranker or BUNDLED,
        )
        evaluation = _build_and_evaluate(judged, config, depth)
    else:
        if (encoder, dimensions, fusion) != (BUNDLED, None, "zscore"):
            retriever.close()
            raise InvalidInputError(
                "--encoder, --dimensions and --fusion belong to building; an existing collection keeps "
                "its own. Leave them out, or compare settings with: retriever tradeoff"
            )
        with retriever, counted("asking") as progress:
            evaluation = run_evaluation(
                judged, retriever, depth=depth, rerank=reranker != "none", progress=progress
            )
    result = {"command": _command(), **evaluation.to_dict()}
    if out_file is not None:
        write_json(out_file, result)
    if runs is not None:
        _write_runs(runs, judged, evaluation)
    if json:
        print_json(result)
        return
    _print(evaluation)


def _build_and_evaluate(judged: Dataset, config: RetrieverConfig, depth: int | None) -> Evaluation:
    """Index the data set's documents in memory, then ask."""
    started = perf_counter()
    with counted("indexing") as progress:
        built = Retriever.from_corpus(
            judged.documents or (), config=config, progress=lambda done, total: progress(done, total or done)
        )
    seconds = perf_counter() - started
    with built, counted("asking") as progress:
        return replace(run_evaluation(judged, built, depth=depth, progress=progress), index_seconds=seconds)


def _write_runs(folder: Path, judged: Dataset, evaluation: Evaluation) -> None:
    """Write what trec_eval reads."""
    write_qrels(folder / f"{judged.name}.qrels", judged.qrels)
    for result in evaluation.stages:
        write_run(folder / f"{judged.name}.{result.stage}.run", result.run, tag=result.stage)


def _print(evaluation: Evaluation) -> None:
    """Print the table and what is needed to read it."""
    out.print(evaluation_table(evaluation))
    for note in evaluation_notes(evaluation):
        out.print(note, style="dim", highlight=False)


def _command() -> str:
    """Return the command that made the figures."""
    return " ".join(["retriever", *sys.argv[1:]])
