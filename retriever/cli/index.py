"""`retriever index`: make files and folders searchable, or bring a collection up to date with them."""

from __future__ import annotations

import logging
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from retriever.cli import STOPPED
from retriever.cli.sources import IdField, Sources, TextField, TitleField, named_fields
from retriever.errors import CollectionExistsError, RetrieverError

if TYPE_CHECKING:
    from retriever.ingest import ReadReport
    from retriever.ingest.syncing import NotedFiles
    from retriever.types import Document, WriteSummary


def index(
    sources: Sources,
    directory: Annotated[
        Path,
        typer.Option(
            "--out",
            "-o",
            metavar="DIR",
            help="The collection's folder; an existing one is brought up to date.",
            show_default=False,
        ),
    ],
    encoder: Annotated[
        str | None, typer.Option(help="Static encoder: a folder or hub id.", show_default="bundled")
    ] = None,
    dimensions: Annotated[
        int | None, typer.Option(min=1, help="Leading vector dimensions kept.", show_default="all")
    ] = None,
    lexical: Annotated[bool | None, typer.Option(help="Search by BM25 too.", show_default="on")] = None,
    reranker: Annotated[
        str | None,
        typer.Option(
            help="Reranker: 'bundled', 'fast', a folder, a hub id or 'none'.", show_default="bundled"
        ),
    ] = None,
    pair_cache: Annotated[
        str | None,
        typer.Option(
            metavar="SIZE", help="Keep scores, such as 32MB of them: a question asked again costs nothing."
        ),
    ] = None,
    passage_tokens: Annotated[
        int | None,
        typer.Option(min=0, help="Longest passage in tokens; 0 never splits.", show_default="512"),
    ] = None,
    passage_overlap: Annotated[
        int | None, typer.Option(min=0, help="Tokens that neighbouring passages share.", show_default="64")
    ] = None,
    text_field: TextField = None,
    title_field: TitleField = None,
    id_field: IdField = None,
    skip_unreadable: Annotated[
        bool, typer.Option("--skip-unreadable", help="Go on past files and records that cannot be read.")
    ] = False,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON for machines.")] = False,
) -> None:
    """Make files and folders searchable.

    Each file is a document whose id is its path below the folder, or below what several have in common; of
    tables and BEIR folders, each record is one. Running it again adds what is new, replaces what changed and
    leaves the rest alone; so an interrupted run goes on where it was stopped. Folders whose files share names
    belong into one run, which keeps them apart.
    """
    from retriever.cli.console import print_json, say
    from retriever.ingest import ReadReport, count_documents, find_files
    from retriever.ingest.syncing import NotedFiles

    # A damaged PDF makes pypdf log hundreds of lines; what matters of them comes as an error.
    logging.getLogger("pypdf").setLevel(logging.ERROR)
    settings = _settings(
        encoder=encoder,
        dimensions=dimensions,
        lexical=lexical,
        reranker=reranker,
        pair_cache=pair_cache,
        passage_tokens=passage_tokens,
        passage_overlap=passage_overlap,
    )
    report = ReadReport()
    files = find_files(sources, exclude=directory, report=report)
    sources_read = NotedFiles(
        files,
        fields=named_fields(id=id_field, text=text_field, title=title_field),
        skip_unreadable=skip_unreadable,
        report=report,
    )
    run = _Run(directory, settings, sources_read, total=count_documents(files))
    started = time.perf_counter()
    try:
        summary = run.write()
    finally:
        for line in report.lines():
            say(line)
    seconds = time.perf_counter() - started
    if as_json:
        print_json(_facts(summary, run.size, report, seconds))
    else:
        _print(summary, run.size, directory, seconds)


class _Run:
    """One run of the command: writes to a new collection or to one that is there."""

    def __init__(
        self, directory: Path, settings: dict[str, Any], sources: NotedFiles, *, total: int | None
    ) -> None:
        self._directory = directory
        self._settings = settings
        self._sources = sources
        self._total = total
        self._committed = 0
        self.size = 0

    def write(self) -> WriteSummary:
        """Write the documents; when stopped, say what is safe."""
        from retriever.cli.console import bar, say
        from retriever.store.manifest import MANIFEST

        there = self._directory.is_dir() and any(self._directory.iterdir())
        if there and not (self._directory / MANIFEST).is_file():
            raise CollectionExistsError(
                f"{self._directory} is a folder with other files in it and no collection; "
                "choose another --out, such as a new folder"
            )
        try:
            with bar("indexing", self._total) as moving:
                counted = moving.over(self._sources.read())
                return self._update(counted) if there else self._create(counted)
        except KeyboardInterrupt as error:
            say(f"stopped; {self._safe()}")
            raise typer.Exit(STOPPED) from error
        except RetrieverError:
            if self._committed:
                say(self._safe())
            raise

    def _create(self, documents: Iterator[Document]) -> WriteSummary:
        from retriever.config import RetrieverConfig
        from retriever.pipeline import Retriever
        from retriever.types import WriteSummary

        config = RetrieverConfig(**self._settings)
        try:
            made = Retriever.from_corpus(
                documents, path=self._directory, config=config, progress=self._progress
            )
        except BaseException:
            with suppress(RetrieverError), Retriever.open(self._directory) as retriever:
                self._sources.note(retriever, finished=False)
            raise
        with made as retriever:
            self._sources.note(retriever)
            self.size = len(retriever)
        # Records without an id that say the same are one document.
        return WriteSummary(added=self.size, unchanged=self._committed - self.size)

    def _update(self, documents: Iterator[Document]) -> WriteSummary:
        from retriever.cli.console import say
        from retriever.cli.opening import open_collection

        with open_collection(self._directory) as retriever:
            self._check_settings(retriever.config.model_dump())
            say(
                f"{self._directory} holds {len(retriever):,} documents already; adding what is new or changed"
            )
            try:
                summary = retriever.upsert(documents, progress=self._progress)
            except BaseException:
                with suppress(RetrieverError):
                    self._sources.note(retriever, finished=False)
                raise
            self._sources.note(retriever)
            self.size = len(retriever)
        return summary

    def _check_settings(self, built_with: dict[str, Any]) -> None:
        """Refuse settings that the collection was not built with, which would be ignored otherwise."""
        from retriever.config import RetrieverConfig
        from retriever.errors import ConfigError

        wanted = RetrieverConfig.model_validate(built_with | self._settings).model_dump()
        for name, value in self._settings.items():
            if built_with[name] != wanted[name]:
                raise ConfigError(
                    f"{self._directory} was built with {name}={built_with[name]!r}, not {value!r}; "
                    "leave the option out, or index into another folder"
                )

    def _progress(self, done: int, total: int | None) -> None:
        self._committed = done

    def _safe(self) -> str:
        if not self._committed:
            return "no document of this run was written yet"
        return (
            f"{self._committed:,} documents of this run are safe in {self._directory}; "
            "run the same command to go on"
        )


def _settings(
    *,
    encoder: str | None,
    dimensions: int | None,
    lexical: bool | None,
    reranker: str | None,
    pair_cache: str | None,
    passage_tokens: int | None,
    passage_overlap: int | None,
) -> dict[str, Any]:
    """Return the configuration keys that the user set; the others keep their defaults."""
    given: dict[str, Any] = {
        "encoder": encoder,
        "dimensions": dimensions,
        "lexical": lexical,
        "reranker": reranker,
        "pair_cache": pair_cache,
        "passage_tokens": passage_tokens,
        "passage_overlap": passage_overlap,
    }
    settings = {name: value for name, value in given.items() if value is not None}
    if reranker == "none":
        settings["reranker"] = None
    if passage_tokens == 0:
        settings["passage_tokens"] = None
    return settings


def _facts(summary: WriteSummary, size: int, report: ReadReport, seconds: float) -> dict[str, Any]:
    return {
        "documents": size,
        "added": summary.added,
        "updated": summary.updated,
        "unchanged": summary.unchanged,
        "skipped": dict(report.skipped),
        "seconds": seconds,
    }


def _print(summary: WriteSummary, size: int, directory: Path, seconds: float) -> None:
    from retriever.cli.console import out, program

    read = summary.added + summary.updated + summary.unchanged
    changes = [f"{summary.added:,} added"]
    if summary.updated or summary.unchanged:
        changes += [f"{summary.updated:,} updated", f"{summary.unchanged:,} unchanged"]
    kept = size - read
    if kept > 0:
        changes.append(f"{kept:,} of the collection not in these sources, kept (`sync` deletes them)")
    rate = f"{read / seconds:,.0f} documents a second" if seconds > 0 else ""
    documents = "document" if size == 1 else "documents"
    done = f"{directory}: {size:,} {documents} ({', '.join(changes)}) in {seconds:.1f} s, {rate}"
    out.out(done, highlight=False)
    out.out(f'Ask it: {program()} search {directory} "your question"', highlight=False)
