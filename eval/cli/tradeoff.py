"""`retriever tradeoff`: what depth, dimensions, fusion and reranker buy on one's own corpus."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer

from eval.attribution import Attribution, LostQuery
from eval.cli.console import counted, out, print_json, write_json
from eval.cli.evaluate import (
    DatasetArgument,
    EncoderOption,
    JsonOption,
    QrelsOption,
    QueriesOption,
    QuestionsOption,
    SampleOption,
    SplitOption,
)
from eval.peers import peer_stages
from eval.recommendation import Recommendation, recommend, reranking_told
from eval.report.page import check_report_extra, write_report
from eval.sources import open_source
from eval.study_result import TradeoffResult
from eval.tables import attribution_table, lost_table, tradeoff_table
from eval.tradeoff import DEPTHS, TIMED, Fusion, TradeoffStudy
from retriever.config import BUNDLED, RetrieverConfig
from retriever.errors import InvalidInputError

_FUSIONS: dict[str, Fusion] = {"zscore": "zscore", "rrf": "rrf"}


def tradeoff(
    dataset: DatasetArgument,
    *,
    depths: Annotated[str, typer.Option(help="Documents reranked; 0 is the first stage alone.")] = ",".join(
        map(str, DEPTHS)
    ),
    dimensions: Annotated[
        str, typer.Option(help="Leading vector dimensions; 'all' for the full width.")
    ] = "all",
    rerankers: Annotated[str, typer.Option(help="'bundled', 'fast', folders, hub ids, or 'none'.")] = BUNDLED,
    fusion: Annotated[str, typer.Option(help="zscore, rrf, or both.")] = "zscore",
    peers: Annotated[
        str,
        typer.Option("--with", help="Peers: bm25s, wordllama, sentence-transformers or model2vec models."),
    ] = "",
    budget: Annotated[
        float | None, typer.Option(min=0, help="Milliseconds that 99 of 100 queries may take.")
    ] = None,
    floor: Annotated[float | None, typer.Option(min=0, max=1, help="Least nDCG@10.")] = None,
    questions: QuestionsOption = None,
    queries: QueriesOption = None,
    qrels: QrelsOption = None,
    split: SplitOption = "test",
    sample: SampleOption = None,
    timed: Annotated[
        int, typer.Option(min=1, help="Queries, at least, that are reranked one by one; times are theirs.")
    ] = TIMED,
    encoder: EncoderOption = BUNDLED,
    out_folder: Annotated[
        Path, typer.Option("--out", help="Report, pictures, figures and kept scores go into this folder.")
    ] = Path("tradeoff"),
    json: JsonOption = False,
) -> None:
    """Measure what each knob buys on a data set, and recommend a setting.

    Separate several values with commas. An interrupted study goes on where it stopped when the same command
    is given again, and asking for more settings scores only what is new.
    """
    check_report_extra()  # before the study, which takes minutes
    judged, retriever = open_source(dataset, questions=questions, queries=queries, qrels=qrels, split=split)
    with ExitStack() as stack:
        config = RetrieverConfig(encoder=encoder)
        if retriever is not None:
            stack.enter_context(retriever)
            judged, config = replace(judged, documents=retriever), retriever.config
        study = TradeoffStudy(
            judged if sample is None else judged.sample(sample),
            depths=_numbers("--depths", depths),
            dimensions=[
                None if name == "all" else _number("--dimensions", name) for name in _names(dimensions)
            ],
            fusions=[_fusion(name) for name in _names(fusion)],
            rerankers=_names(rerankers),
            peers=peer_stages(_names(peers)),
            config=config,
            folder=out_folder,
            timed=timed,
        )
        result = study.run(progress=stack.enter_context(_bars()))
        advice = recommend(result, budget_ms=budget, floor=floor)
        attribution = result.attribute(advice.result.setting)
        lost = result.lost(attribution)
    values = _values(result, advice, attribution)
    write_json(out_folder / "tradeoff.json", values)
    page = write_report(out_folder, result, advice, attribution, lost)
    if json:
        print_json(values)
        return
    _print(result, advice, attribution, lost)
    out.print(f"Report: {page}", highlight=False, soft_wrap=True)


def _values(result: TradeoffResult, advice: Recommendation, attribution: Attribution) -> dict[str, Any]:
    """Gather everything that was found as plain values."""
    return {
        "command": " ".join(["retriever", *sys.argv[1:]]),
        **result.to_dict(),
        "recommendation": advice.to_dict(),
        "attribution": attribution.to_dict(),
    }


def _print(
    result: TradeoffResult, advice: Recommendation, attribution: Attribution, lost: list[LostQuery]
) -> None:
    """Print tables, then what to do."""
    out.print(tradeoff_table(result, advice.result))
    out.print(
        "* on the Pareto front, > recommended; ± is half the 95 % bootstrap interval; "
        "bytes are those of a passage's vector.",
        style="dim",
    )
    out.print(attribution_table(attribution))
    if lost:
        out.print(lost_table(lost))
    out.print()
    out.print(advice.reason, style="bold", highlight=False)
    if told := reranking_told(result, advice.result):
        out.print(told, highlight=False)
    if advice.alternative_reason:
        out.print(advice.alternative_reason, highlight=False)
    out.print(f"    {advice.code}", highlight=False, soft_wrap=True)
    out.print(
        f"{result.pairs_scored:,} pairs scored, {len(result.settings)} settings in {result.seconds:.0f} s.",
        style="dim",
        highlight=False,
    )


class _bars:  # noqa: N801 - used like a function
    """One progress bar after another, as the study goes from phase to phase."""

    def __enter__(self) -> Callable[[str, int, int], None]:
        self._phase = ""
        self._stack = ExitStack()
        self._update: Callable[[int, int], None] = lambda done, total: None
        return self._report

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _report(self, phase: str, done: int, total: int) -> None:
        if phase != self._phase:
            self._stack.close()
            self._phase = phase
            self._update = self._stack.enter_context(counted(phase))
        self._update(done, total)


def _names(text: str) -> list[str]:
    return [name.strip() for name in text.split(",") if name.strip()]


def _number(option: str, text: str) -> int:
    try:
        return int(text)
    except ValueError:
        raise InvalidInputError(f"{option}: '{text}' is not a whole number; write them as 10,20,50") from None


def _numbers(option: str, text: str) -> list[int]:
    return [_number(option, name) for name in _names(text)]


def _fusion(name: str) -> Fusion:
    if name not in _FUSIONS:
        raise InvalidInputError(f"'{name}' is not a fusion; there are {', '.join(_FUSIONS)}")
    return _FUSIONS[name]
