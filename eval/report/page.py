"""The page of a trade-off study: one HTML file with its pictures inside."""

from __future__ import annotations

import base64
from importlib.util import find_spec
from pathlib import Path

from eval.attribution import FATES, Attribution, LostQuery
from eval.environment import environment
from eval.metrics import label
from eval.recommendation import Recommendation, reranking_told
from eval.report.figures import draw
from eval.study_result import TradeoffResult
from retriever.errors import MissingExtraError

_EXCERPT = 280  # characters of a document shown with a lost query


def check_report_extra() -> None:
    """Raise where what draws the report is not installed.

    :raises MissingExtraError: naming what to install.
    """
    missing = [name for name in ("jinja2", "matplotlib") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"the report needs {' and '.join(missing)}: pip install 'two-stage-retriever[report]'"
        )


def write_report(
    folder: Path,
    result: TradeoffResult,
    advice: Recommendation,
    attribution: Attribution,
    lost: list[LostQuery],
) -> Path:
    """Write ``report.html`` and the pictures beside it.

    The page needs neither network nor scripts: the pictures are inside it.

    :param folder: where they go; made if absent.
    :param result: the measured grid.
    :param advice: the recommended setting.
    :param attribution: where answers were lost under that setting.
    :param lost: lost queries to show with their documents.
    :return: the page's path.
    :raises MissingExtraError: if matplotlib or jinja2 is not installed.
    """
    check_report_extra()
    from jinja2 import Environment, FileSystemLoader, select_autoescape

    pictures = draw(folder, result, advice.result)
    templates = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=select_autoescape(),
        trim_blocks=True,
        lstrip_blocks=True,
    )
    page = templates.get_template("page.html").render(
        result=result,
        advice=advice,
        reranking=reranking_told(result, advice.result),
        attribution=attribution,
        fates=FATES,
        counts=attribution.counts(),
        shares=attribution.shares(),
        lost=lost,
        pictures={name: base64.b64encode(path.read_bytes()).decode() for name, path in pictures.items()},
        front={entry.setting for entry in result.pareto()},
        bounds=result.upper_bounds[advice.result.setting.stage],
        others=[(name, label(name)) for name in result.measures[1:]],
        unjudged=advice.result.scores,
        excerpt=_EXCERPT,
        environment=environment(),
    )
    path = folder / "report.html"
    path.write_text(page, encoding="utf-8")
    return path
