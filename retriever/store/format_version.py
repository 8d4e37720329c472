"""The version of a collection's layout: every file that carries it is of this one or refused."""

from __future__ import annotations

from pathlib import Path

from retriever.errors import CollectionVersionError

FORMAT_VERSION = 4


def check_version(path: Path | None, version: int) -> None:
    """Refuse what another version of this project wrote.

    :param path: the file, for the message.
    :param version: the one that it carries.
    :raises CollectionVersionError: if it is another one.
    """
    if version > FORMAT_VERSION:
        raise CollectionVersionError(
            f"{path} has format {version}, this version reads up to {FORMAT_VERSION}; "
            "upgrade two-stage-retriever"
        )
    if version < FORMAT_VERSION:
        raise CollectionVersionError(
            f"{path} has format {version}, which an early version wrote; index the documents again"
        )
