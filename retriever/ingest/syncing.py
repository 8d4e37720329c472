"""Brings a collection in line with a folder, reading only the files whose content changed."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from retriever.errors import SourceError
from retriever.ingest.discovery import SourceFile, find_files, format_of
from retriever.ingest.reading import RECORDS, read_files, require_readers
from retriever.ingest.records import RecordFields
from retriever.ingest.report import ReadReport
from retriever.pipeline import Retriever
from retriever.store.content_id import content_id
from retriever.store.manifest import file_digest
from retriever.store.source_table import ReadFile
from retriever.types import Document, WriteSummary

_NOTED = 1_000_000  # documents whose files are remembered in one run; more would not be in bounded memory
_READING = ""  # in place of a digest: the file is being taken in, or was when a run was stopped


class _Holders:
    """Which file each id is from: two may not give the same one, unless it is made of what they say."""

    def __init__(self) -> None:
        self._files: dict[str, str] = {}

    def __contains__(self, id: str) -> bool:
        return id in self._files

    def add(self, file: str, id: str) -> None:
        """Note that a file holds a document."""
        self._files[id] = file

    def check(self, file: str, document: Document) -> None:
        """Refuse a document whose id is another's.

        :raises SourceError: naming both files.
        """
        holder = self._files.get(document.id)
        if holder is None or document.id == content_id(document.title, document.text):
            return
        where = f"twice in {file}" if holder == file else f"in {holder} and in {file}"
        raise SourceError(
            f"the id {document.id!r} is {where}, and the second would replace the first; ids must be unique: "
            "choose the field that holds them with --id-field, in Python RecordFields(id=...)"
        )


class NotedFiles:
    """Reads files like `read_files` and remembers what each held, so that a later `sync` knows them.

    :param files: what to read.
    :param fields: which fields of a record are id, text and title.
    :param skip_unreadable: leave out what cannot be read, and note it in the report.
    :param report: filled in while files are read.
    :raises MissingExtraError: if a format needs a library that is not installed.
    """

    def __init__(
        self,
        files: Sequence[SourceFile],
        *,
        fields: RecordFields | None = None,
        skip_unreadable: bool = False,
        report: ReadReport | None = None,
    ) -> None:
        require_readers(files)
        self._files = files
        self._fields, self._skip_unreadable, self._report = fields, skip_unreadable, report
        self._held: dict[str, tuple[str, dict[str, None]]] = {}
        self._room = _NOTED

    def read(self) -> Iterator[Document]:
        """Yield the documents.

        :raises SourceError: if a file cannot be read, or an id is given twice.
        """
        holders = _Holders()
        for file in self._files:
            digest, ids = _digest(file), dict[str, None]()
            self._held[file.id] = _READING, ids
            for document in read_files(
                [file], fields=self._fields, skip_unreadable=self._skip_unreadable, report=self._report
            ):
                holders.check(file.id, document)
                ids[document.id] = None
                if self._room >= 0:
                    holders.add(file.id, document.id)
                yield document
            self._room -= len(ids)
            if self._room >= 0:
                self._held[file.id] = digest, ids
            else:
                del self._held[file.id]

    def note(self, retriever: Retriever, *, finished: bool = True) -> None:
        """Remember in a collection which file holds which documents, as far as they were read.

        :param finished: False after a run that was stopped, which need not have written all that it read: the
            next sync then knows these documents, and reads their files again.
        """
        known = retriever.collection.store.sources.all()
        fields = {file.id: _fields_of(file, self._fields) for file in self._files}
        read = []
        for path, (digest, ids) in self._held.items():
            vanished = set(known[path].ids).difference(ids) if path in known else set()
            # What is no longer in the file is deleted by a sync, which has to read the file again for that.
            noted = digest if finished and not vanished else _READING
            read.append(ReadFile(path, noted, [*ids, *sorted(vanished)], fields[path]))
        retriever.collection.note_sources(read)


@dataclass(frozen=True, slots=True)
class SyncSummary:
    """What a sync did.

    :param read: files that are new or changed, or of which a document was deleted since, and were read.
    :param unchanged: files whose content is as it was.
    :param gone: files that are no longer there.
    :param added: documents that are new.
    :param updated: documents that were replaced.
    :param deleted: documents that are gone.
    """

    read: int = 0
    unchanged: int = 0
    gone: int = 0
    added: int = 0
    updated: int = 0
    deleted: int = 0


def sync(
    retriever: Retriever,
    sources: Sequence[str | Path],
    *,
    fields: RecordFields | None = None,
    skip_unreadable: bool = False,
    report: ReadReport | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> SyncSummary:
    """Bring a collection in line with files and folders: all of those that are to be in it.

    Documents of files that are gone or no longer hold them are deleted, also of those that `retriever index`
    read; documents that a program wrote stay. What was read is remembered in the collection, so that the next
    sync reads only what changed.

    :param retriever: the collection.
    :param sources: files and folders, as for `read_sources`.
    :param fields: which fields of a record are id, text and title; None for those that the file was read with
        before, or all files were.
    :param skip_unreadable: leave out what cannot be read, and note it in the report; what such a file held
        before stays.
    :param report: filled in while files are read.
    :param progress: called with the number of files that are in line, and of all.
    :return: what was done.
    :raises SourceError: if a source does not exist or cannot be read.
    """
    report = report if report is not None else ReadReport()
    folder = retriever.collection.path
    files = find_files(sources, exclude=folder, report=report)
    require_readers(files)
    known = retriever.collection.store.sources.all()
    syncing = _Sync(retriever, known, fields, skip_unreadable, report)
    moved = progress or (lambda done, of: None)
    changed: list[SourceFile] = []
    for looked_at, file in enumerate(files, start=1):
        if syncing.keeps(file):
            moved(looked_at - len(changed), len(files))
        else:
            changed.append(file)
    for done, file in enumerate(changed, start=len(files) - len(changed) + 1):
        syncing.take_in(file)
        moved(done, len(files))
    for path in sorted(known.keys() - {file.id for file in files}):
        syncing.forget(path)
    return syncing.summary()


class _Sync:
    """One run."""

    def __init__(
        self,
        retriever: Retriever,
        known: dict[str, ReadFile],
        fields: RecordFields | None,
        skip_unreadable: bool,
        report: ReadReport,
    ) -> None:
        self._retriever, self._store = retriever, retriever.collection.store
        self._known, self._given = known, fields
        alike = {read.fields for path, read in known.items() if format_of(Path(path)) in RECORDS}
        self._usual = alike.pop() if len(alike) == 1 else ""  # of files that are new
        self._skip_unreadable, self._report = skip_unreadable, report
        self._digests: dict[str, str] = {}
        self._holders = _Holders()  # of files that are as they were, and of those taken in
        self._read = self._unchanged = self._gone = self._deleted = 0
        self._written = WriteSummary()

    def keeps(self, file: SourceFile) -> bool:
        """Tell whether a file's content is as it was, and what it says still there."""
        self._digests[file.id] = _digest(file)
        before = self._before(file)
        if (self._digests[file.id], self._fields(file)) != (before.digest or None, before.fields):
            return False
        if len(self._store.digests(before.ids)) < len(set(before.ids)):
            return False
        for id in before.ids:
            self._holders.add(file.id, id)
        self._unchanged += 1
        return True

    def take_in(self, file: SourceFile) -> None:
        """Read a file, and delete what neither it nor another still holds.

        What could not be read says nothing of what the file holds: then nothing is deleted, and the next sync
        reads the file again.
        """
        ids, noted = self._before(file).ids, self._fields(file)
        fields = RecordFields(**json.loads(noted)) if noted else None
        unread = self._report.unread
        documents = list(
            read_files([file], fields=fields, skip_unreadable=self._skip_unreadable, report=self._report)
        )
        for document in documents:
            self._holders.check(file.id, document)
            self._holders.add(file.id, document.id)
        now = list(dict.fromkeys(document.id for document in documents))
        in_part = self._report.unread > unread
        if in_part:
            for id in ids:
                if id not in self._holders:
                    self._holders.add(file.id, id)
            if not now:
                return
        # Noted first: a run that is stopped here leaves nothing behind that no file accounts for.
        self._retriever.collection.note_sources([ReadFile(file.id, _READING, [*ids, *now], noted)])
        self._written += self._retriever.upsert(documents)
        self._delete(ids)
        if not in_part:
            read = ReadFile(file.id, self._digests[file.id], now, noted)
            self._retriever.collection.note_sources([read])
        self._read += 1

    def _before(self, file: SourceFile) -> ReadFile:
        """What is known of a file."""
        return self._known.get(file.id, ReadFile(file.id, _READING, []))

    def _fields(self, file: SourceFile) -> str:
        """Which fields a file's records are read with: as given, or as before."""
        if self._given is not None:
            return _fields_of(file, self._given)
        if file.id in self._known:
            return self._known[file.id].fields
        return self._usual if file.format in RECORDS else ""

    def forget(self, path: str) -> None:
        """Delete the documents of a file that is gone."""
        self._delete(self._known[path].ids)
        self._retriever.collection.forget_source(path)
        self._gone += 1

    def _delete(self, ids: Iterable[str]) -> None:
        """Delete documents that no file holds."""
        self._deleted += self._retriever.delete(sorted({id for id in ids if id not in self._holders}))

    def summary(self) -> SyncSummary:
        return SyncSummary(
            self._read, self._unchanged, self._gone, self._written.added, self._written.updated, self._deleted
        )


def _digest(file: SourceFile) -> str:
    """Return the digest of a file's content; where it has none, reading will tell what is wrong."""
    try:
        return file_digest(file.path)
    except OSError:
        return _READING


def _fields_of(file: SourceFile, fields: RecordFields | None) -> str:
    """Return the named fields as the collection remembers them: "" for none, or of a file without records."""
    if fields is None or file.format not in RECORDS:
        return ""
    named = {name: field for name, field in asdict(fields).items() if field is not None}
    return json.dumps(named) if named else ""
