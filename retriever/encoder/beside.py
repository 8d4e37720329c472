"""Something that takes seconds on a machine's first day, made beside the first calls."""

from __future__ import annotations

import os
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")


class MadeBeside(Generic[Made]):
    """Made by a thread of its own, which begins with the first call.

    The thread is no daemon: a process that ends before lets it finish, so that the next has what it made.

    :param make: makes it.
    """

    def __init__(self, make: Callable[[], Made]) -> None:
        self._make: Callable[[], Made] | None = make
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._made: Made | None = None
        self._error: BaseException | None = None

    def get(self, patience: float) -> Made | None:
        """Return what is made, or None as long as it is not.

        :param patience: seconds that the first call waits for it.
        :raises BaseException: what making it raised.
        """
        if self._made is not None:
            return self._made
        thread, began = self._started()
        if began:
            thread.join(patience)
        if self._error is not None:
            raise self._error
        return self._made

    def wait(self) -> None:
        """Return when it is made.

        :raises BaseException: what making it raised.
        """
        self._started()[0].join()
        if self._error is not None:
            raise self._error

    def _started(self) -> tuple[threading.Thread, bool]:
        """Return the thread that makes it, and whether it begins only now."""
        with self._lock:
            began = self._thread is None
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="retriever-compile")
                _running.add(self._thread)
                self._thread.start()
            return self._thread, began

    def _run(self) -> None:
        make, self._make = self._make, None
        try:
            self._made = None if make is None else make()
        except BaseException as error:  # noqa: BLE001 - raised by `get`, where somebody can see it
            self._error = error


_running: weakref.WeakSet[threading.Thread] = weakref.WeakSet()


def _finish() -> None:
    """Wait for what is being made: a fork would copy its locks, and nobody to open them."""
    for thread in {*_running} - {threading.current_thread()}:
        thread.join()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(before=_finish)
