"""`retriever distill` and `retriever adapt`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from retriever.config import BUNDLED

if TYPE_CHECKING:
    from retriever.encoder import StaticEncoder
    from retriever.pipeline import Retriever
    from retriever.types import Document

_TABLE = "model.safetensors"
_Out = Annotated[
    Path, typer.Option("--out", "-o", metavar="DIR", help="Folder for the encoder.", show_default=False)
]


class Pooling(StrEnum):
    """What stands for a token: the mean of its states, the first (the class token) or the last."""

    MEAN = "mean"
    FIRST = "first"
    LAST = "last"


_Json = Annotated[bool, typer.Option("--json", help="Print JSON for machines.")]


def distill(
    teacher: Annotated[
        str,
        typer.Argument(help="Folder or hub id of a sentence-transformers model.", show_default=False),
    ],
    out: _Out,
    dimensions: Annotated[int, typer.Option(min=1, help="Width of the table.")] = 256,
    words: Annotated[
        Path | None, typer.Option(help="File with own words, one a line, that get a row each.")
    ] = None,
    corpus: Annotated[
        list[Path] | None,
        typer.Option(help="Files or folders to count token frequencies on; else guessed from rank."),
    ] = None,
    pooling: Annotated[
        Pooling | None, typer.Option(help="Over the states of each token.", show_default="the teacher's")
    ] = None,
    pca: Annotated[bool, typer.Option(help="Rotate onto principal components.")] = True,
    position_decay: Annotated[
        float | None,
        typer.Option(
            help="Let early tokens of a text count more: the token at this place counts 0.7 of the first; "
            "8 is a good choice.",
            show_default="all count alike, as in model2vec",
        ),
    ] = None,
    int8: Annotated[bool, typer.Option("--int8", help="Store bytes with a scale a row.")] = False,
    as_json: _Json = False,
) -> None:
    """Make a static encoder out of a sentence-transformers model, in a minute and without training text."""
    _require_torch()
    _check_out(out)
    import distillation
    from retriever.cli.console import counted, print_json, say

    with counted(f"distilling {teacher}") as progress:
        encoder = distillation.distill(
            teacher,
            dimensions=dimensions,
            words=_lines(words) if words else (),
            corpus=_texts(corpus) if corpus else None,
            pca=pca,
            position_decay=position_decay,
            pooling=pooling.value if pooling else None,
            progress=progress,
        )
    if int8:
        encoder = encoder.quantize("int8")
    encoder.save(out)
    rows = encoder.tokenizer.get_vocab_size()
    if as_json:
        print_json({"path": str(out), "tokens": rows, "dimensions": encoder.dimensions})
    else:
        say(f"{rows:,} tokens of {encoder.dimensions} dimensions are in {out}; use it with --encoder {out}")


def adapt(
    directory: Annotated[
        Path,
        typer.Argument(metavar="DIR", help="A collection, or a folder or file as `index` takes it."),
    ],
    out: _Out,
    encoder: Annotated[
        str | None, typer.Option(help="Encoder to start from.", show_default="the collection's, or bundled")
    ] = None,
    teacher: Annotated[
        str | None,
        typer.Option(
            help="Sentence-transformers model to learn from: a folder or hub id.",
            show_default="the bundled reranker",
        ),
    ] = None,
    reranker: Annotated[
        str | None,
        typer.Option(
            help="Reranker to learn from, or to be judged by where it cannot teach: "
            "'bundled', 'fast', a folder or a hub id; 'none' for neither.",
            show_default=BUNDLED,
        ),
    ] = None,
    as_json: _Json = False,
) -> None:
    """Tune an encoder to your own documents; no questions or judgments are needed.

    Writes nothing where nothing did better than the encoder as it is.
    """
    _require_torch()
    _check_out(out)
    import distillation
    from retriever.cli.console import print_json, say, stages
    from retriever.encoder import StaticEncoder
    from retriever.loading import load_named_reranker

    if teacher and reranker not in (None, "none"):
        raise typer.BadParameter("--teacher and --reranker exclude each other: give the one to learn from")
    learnt_from = (
        teacher if teacher else None if reranker == "none" else load_named_reranker(reranker or BUNDLED)
    )
    given = StaticEncoder.load(encoder) if encoder else None
    documents, start = _documents(directory, given)
    with stages() as progress:
        result = distillation.adapt(
            given or StaticEncoder.load(start), documents, teacher=learnt_from, progress=progress
        )
    if result.changes:
        result.encoder.save(out)
    if as_json:
        facts = {"before": result.before, "after": result.after, "held_back": result.held_back}
        print_json({"changes": list(result.changes), **facts, "path": str(out) if result.changes else None})
        return
    if result.changes:
        say(
            f"{', '.join(result.changes)}: score on {result.held_back} held-back questions "
            f"{result.before:.3f} → {result.after:.3f}; the encoder is in {out}; use it with --encoder {out}"
        )
    else:
        say(
            f"nothing did better than the encoder as it is (score {result.before:.3f} on {result.held_back} "
            f"held-back questions), so nothing was written: keep the encoder you have"
        )


def _documents(directory: Path, given: StaticEncoder | None) -> tuple[Iterable[Document], str | None]:
    """Return the documents of a collection with its encoder, or those of a source."""
    from retriever.errors import CollectionNotFoundError
    from retriever.ingest import read_sources

    try:
        with _opened(directory, given) as retriever:
            return list(retriever), retriever.config.encoder
    except CollectionNotFoundError:
        return read_sources([directory]), None


def _opened(directory: Path, given: StaticEncoder | None) -> Retriever:
    """Open a collection; one whose own encoder is not at hand with the one given, if that is the same."""
    from retriever.errors import ConfigError, ModelError
    from retriever.pipeline import Retriever

    try:
        return Retriever.open(directory)
    except (ConfigError, ModelError):
        if given is None:
            raise
        return Retriever.open(directory, encoder=given)


def _texts(paths: list[Path]) -> Iterator[str]:
    """Yield the texts of sources."""
    from retriever.ingest import read_sources

    for document in read_sources(paths):
        yield f"{document.title}\n{document.text}" if document.title else document.text


def _lines(path: Path) -> list[str]:
    """Return the non-empty lines of a file."""
    from retriever.errors import SourceError

    try:
        return [line.strip() for line in path.read_text(encoding="utf-8").splitlines() if line.strip()]
    except (OSError, UnicodeDecodeError) as error:
        raise SourceError(f"cannot read words from {path}: {error}") from error


def _check_out(out: Path) -> None:
    """Raise where an encoder would be written over or among something else, before anything is done."""
    from rerank.output_folder import check_output_folder, config_says

    def is_encoder(folder: Path) -> bool:
        # A teacher's folder has the table's name in it, too; one of ours may have been stopped in writing.
        names = {path.name for path in folder.iterdir()}
        stopped = "config.json" not in names and not names.isdisjoint({_TABLE, f".{_TABLE}.new"})
        ours = stopped or config_says(folder, "model_type", "model2vec")
        return ours and "collection.json" not in names

    check_output_folder(out, replaceable=is_encoder)


def _require_torch() -> None:
    """Raise where the extra is not installed, before anything is done."""
    from importlib.util import find_spec

    from retriever.errors import MissingExtraError

    missing = [name for name in ("torch", "transformers", "scipy") if find_spec(name) is None]
    if missing:
        raise MissingExtraError(
            f"{', '.join(missing)} not installed; run: pip install 'two-stage-retriever[distill]'"
        )
