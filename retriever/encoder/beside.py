"""Something that takes seconds on a machine's first day, made beside the first calls."""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Callable
from typing import Generic, TypeVar

Made = TypeVar("Made")

WORTH = 0.7  # seconds that numba and compiled code take to be read from disk


class MadeBeside(Generic[Made]):
    """Made by a thread of its own, once there has been work enough for it to be worth while.

    The thread is no daemon: a process that ends before lets it finish, so that the next has what it made.

    :param make: makes it.
    :param module: what takes so long to load; where it is loaded, any work is enough.
    """

    def __init__(self, make: Callable[[], Made], module: str) -> None:
        self._make: Callable[[], Made] | None = make
        self._module = module
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._made: Made | None = None
        self._error: BaseException | None = None
        self._work = 0.0

    def get(self, work: float) -> Made | None:
        """Return what is made, or None as long as it is not.

        The call that begins it waits a little: what is on disk is there by then.

        :param work: seconds that this call's work takes without it.
        :raises BaseException: what making it raised.
        """
        if self._made is not None:
            return self._made
        if self._thread is None:
            with self._lock:
                self._work += work
            if self._work >= WORTH or self._module in sys.modules:
                self._started().join(min(work, 1.5 * WORTH))
        if self._error is not None:
            raise self._error
        return self._made

    def wait(self) -> None:
        """Return when it is made.

        :raises BaseException: what making it raised.
        """
        self._started().join()
        if self._error is not None:
            raise self._error

    def _started(self) -> threading.Thread:
        """Return the thread that makes it."""
        with self._lock:
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="retriever-compile")
                _running.add(self._thread)
                self._thread.start()
            return self._thread

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
