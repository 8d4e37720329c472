"""What to say when a framework is not installed."""

from __future__ import annotations

from retriever.errors import MissingExtraError


def missing_extra(what: str, package: str, extra: str) -> MissingExtraError:
    """Return the error that names the package and the line that installs it.

    :param what: what the user asked for, as `as_langchain()`.
    :param package: the distribution that is absent.
    :param extra: the extra that brings it.
    :return: the error, to be raised.
    """
    return MissingExtraError(
        f"{what} needs {package}; install it with: pip install 'two-stage-retriever[{extra}]'"
    )
