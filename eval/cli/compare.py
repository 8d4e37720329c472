"""`retriever compare`: do two runs differ by more than chance?"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from eval.cli.console import out, print_json
from eval.cli.evaluate import JsonOption
from eval.metrics import Judge
from eval.runs import rankings, read_qrels, read_run
from eval.significance import compare as run_comparison
from eval.tables import comparison_table
from retriever.errors import InvalidInputError


def compare(
    run_a: Annotated[Path, typer.Argument(help="A TREC run.")],
    run_b: Annotated[Path, typer.Argument(help="The run to hold against it.")],
    *,
    qrels: Annotated[Path, typer.Option(help="Judgments, TREC or BEIR format.")],
    measures: Annotated[
        str, typer.Option(help="Measures as ir_measures writes them, separated by commas.")
    ] = "nDCG@10,R@100,RR@10,AP",
    json: JsonOption = False,
) -> None:
    """Compare two TREC runs query by query: intervals, randomization and t tests, wins and losses."""
    judge = Judge(read_qrels(qrels), [name.strip() for name in measures.split(",") if name.strip()])
    first, second = (rankings(read_run(path)) for path in (run_a, run_b))
    for path, run in ((run_a, first), (run_b, second)):
        if not any(query in run for query in judge.queries):
            raise InvalidInputError(
                f"{path} answers no query of {qrels}; check that both use the same query ids"
            )
    scores_a, scores_b = judge.score(first), judge.score(second)
    found = run_comparison([(name, scores_a.values[name], scores_b.values[name]) for name in scores_a.values])
    if json:
        result = {
            "a": str(run_a),
            "b": str(run_b),
            "queries": len(judge.queries),
            "unjudged_in_first_ten": {"a": scores_a.unjudged, "b": scores_b.unjudged},
            "comparisons": [one.to_dict() for one in found],
        }
        print_json(result)
        return
    out.print(comparison_table(found, run_b.name, run_a.name))
    out.print(
        f"{len(judge.queries)} queries. p Holm: the randomization p corrected for {len(found)} comparisons; "
        f"bold below .05. Without judgment in the first ten: A {scores_a.unjudged}, B {scores_b.unjudged}.",
        style="dim",
        highlight=False,
    )
