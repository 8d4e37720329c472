"""A collection's folder: made, looked over before it is opened, and cleared of what can be made again."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from retriever.collection_lexical import LEXICAL
from retriever.collection_vectors import VECTORS
from retriever.config import RetrieverConfig
from retriever.encoder import StaticEncoder
from retriever.errors import (
    RESTORE,
    CollectionExistsError,
    ConfigError,
    CorruptCollectionError,
    ModelNotFoundError,
)
from retriever.lexical.segment_files import check_segments
from retriever.store.database import DATABASE
from retriever.store.document_store import DocumentStore
from retriever.store.format_version import FORMAT_VERSION
from retriever.store.manifest import Manifest, disk_error, read_manifest, write_manifest
from retriever.store.seal import check_seal
from retriever.store.writer_lock import WriterLock

PASSAGES = "passages"


def make_folder(path: Path, config: RetrieverConfig, encoder: StaticEncoder) -> None:
    """Make the folder of a new collection.

    :raises CollectionExistsError: if it holds something already.
    """
    if path.is_file():
        raise CollectionExistsError(f"{path} is a file; name a folder for the collection")
    if path.exists() and any(path.iterdir()):
        raise CollectionExistsError(
            f"{path} exists and is not empty; open it with Retriever.open({str(path)!r}) and upsert, "
            "or choose another folder"
        )
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise disk_error(path, error) from error
    write_manifest(path, Manifest(format=FORMAT_VERSION, config=config, encoder=encoder.fingerprint))


def checked_folder(
    path: Path, encoder: Callable[[RetrieverConfig], StaticEncoder]
) -> tuple[RetrieverConfig, StaticEncoder, bool]:
    """Look a collection's files over, as far as one can before they are opened.

    :param encoder: makes the encoder that a configuration asks for.
    :return: how the collection is built, the encoder that it was built with, and whether it is sealed.
    :raises CollectionError: if it is absent, damaged or newer than this version.
    :raises ConfigError: if the encoder is another.
    """
    manifest = read_manifest(path)
    sealed = check_seal(path)
    try:
        made = encoder(manifest.config)
    except ModelNotFoundError as error:
        raise ModelNotFoundError(
            f"{path} was built with the encoder {manifest.config.encoder!r}, which is not there now; put it "
            f"back, or choose another: retriever rebuild {path} --encoder NAME"
        ) from error
    check_encoder(path, manifest, made)
    if not sealed:
        _require_documents(path)
        _check_unsealed(path)
    return manifest.config, made, sealed


def _require_documents(path: Path) -> None:
    """Raise where the documents themselves are gone: nothing can be made again without them."""
    if not (path / DATABASE).is_file():
        raise CorruptCollectionError(f"{path / DATABASE} is missing; {RESTORE}")
    if not (path / DATABASE).stat().st_size:
        raise CorruptCollectionError(f"{path / DATABASE} is empty; {RESTORE}")


def check_encoder(path: Path, manifest: Manifest, encoder: StaticEncoder) -> None:
    """Raise ConfigError if a collection's vectors are of another encoder."""
    if encoder.fingerprint != manifest.encoder:
        raise ConfigError(
            f"{path} was built with another encoder ({manifest.encoder}, not {encoder.fingerprint}); "
            f"give that encoder, or change it: retriever rebuild {path} --encoder {manifest.config.encoder}"
        )


def check_not_ahead(path: Path | None, name: str, seq: int, store: DocumentStore) -> None:
    """Refuse a store that is older than what was made from it.

    :param name: of what was made.
    :param seq: the last change that it has.
    """
    if path is not None and seq > (last := store.seq):
        raise CorruptCollectionError(
            f"{path / DATABASE} ends at change {last}, {name}.json knows change {seq}: the copy is "
            f"incomplete; copy again with Retriever.save, or run: retriever rebuild {path}"
        )


def _check_unsealed(path: Path) -> None:
    """Look files over that were not closed in peace, unless another process is at work on them.

    What tantivy does with a damaged file of its own is not to be foreseen, so that this comes before it.
    """
    lock = WriterLock(path)
    if lock.take():
        try:
            check_segments(path / LEXICAL)
            with closing(DocumentStore(path / DATABASE)) as store:
                store.check_pages()
        finally:
            lock.release()


def clear_folder(path: Path, config: RetrieverConfig, encoder: StaticEncoder) -> None:
    """Throw away everything derived, once the documents are found whole.

    :param config: noted with the encoder for what will be made in its place.
    :param encoder: of the vectors to be made.
    :raises CorruptCollectionError: if the documents themselves are damaged.
    :raises CollectionLockedError: if another process is writing.
    """
    _require_documents(path)
    lock = WriterLock(path)
    if not lock.take():
        raise lock.refused()
    try:
        with closing(DocumentStore(path / DATABASE)) as store:
            store.check()
        for pattern in (f"{VECTORS}*", f"{PASSAGES}*", f"{LEXICAL}.json"):
            for file in path.glob(pattern):
                file.unlink()
        shutil.rmtree(path / LEXICAL, ignore_errors=True)
        # Last: killed before this it has no vectors, killed after it none of another encoder.
        write_manifest(path, Manifest(format=FORMAT_VERSION, config=config, encoder=encoder.fingerprint))
    finally:
        lock.release()
