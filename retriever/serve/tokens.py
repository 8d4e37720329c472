"""Bearer tokens with a scope: `read` searches, `write` also changes documents."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from retriever.errors import ConfigError

Scope = Literal["read", "write"]

READ_VARIABLE, WRITE_VARIABLE = "RETRIEVER_READ_TOKEN", "RETRIEVER_WRITE_TOKEN"
_SHORTEST = 16  # characters; what can be guessed protects nothing
_MAKE_ONE = "make one with: python -c 'import secrets; print(secrets.token_urlsafe())'"


class Token(NamedTuple):
    """A token as the server keeps it: its scope and the SHA-256 of its text, never the text."""

    scope: Scope
    digest: str


def make_token(scope: str, text: str) -> Token:
    """Check a token and hash it.

    :param scope: `read` or `write`; `write` includes `read`.
    :param text: the secret.
    :raises ConfigError: if the scope is unknown, or the secret short or not printable ASCII.
    """
    if scope not in ("read", "write"):
        raise ConfigError(f"unknown token scope {scope!r}; use read or write")
    if len(text) < _SHORTEST:
        raise ConfigError(f"a {scope} token has {len(text)} characters, fewer than {_SHORTEST}; {_MAKE_ONE}")
    if not (text.isascii() and text.isprintable()) or " " in text:
        raise ConfigError(f"a {scope} token holds characters that no HTTP header can carry; {_MAKE_ONE}")
    return Token("read" if scope == "read" else "write", _digest(text))


def read_tokens(environment: Mapping[str, str], file: Path | None) -> tuple[Token, ...]:
    """Collect tokens from the environment and from a file with a line `scope token` for each.

    :param environment: read for RETRIEVER_READ_TOKEN and RETRIEVER_WRITE_TOKEN.
    :param file: blank lines and lines that start with # are passed over.
    :raises ConfigError: if the file cannot be read or a line is malformed.
    """
    tokens = [
        make_token(scope, environment[name])
        for scope, name in (("read", READ_VARIABLE), ("write", WRITE_VARIABLE))
        if environment.get(name)
    ]
    if file is None:
        return tuple(tokens)
    try:
        lines = file.read_text(encoding="utf-8").splitlines()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"the tokens in {file} cannot be read ({error})") from error
    for number, line in enumerate(lines, start=1):
        if not line.strip() or line.lstrip().startswith("#"):
            continue
        scope, _, text = line.strip().partition(" ")
        try:
            tokens.append(make_token(scope, text.strip()))
        except ConfigError as error:
            raise ConfigError(f"{file}, line {number}: {error}") from error
    if not tokens:
        raise ConfigError(f"{file} holds no token; write lines such as 'read SECRET' or 'write SECRET'")
    return tuple(tokens)


def scope_of(tokens: Sequence[Token], given: str) -> Scope | None:
    """Return what a given secret allows, comparing in constant time; None if it is not known."""
    digest = _digest(given)
    found = [token.scope for token in tokens if hmac.compare_digest(token.digest, digest)]
    return None if not found else "write" if "write" in found else "read"


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogateescape")).hexdigest()
