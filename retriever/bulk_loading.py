"""What the interpreter does otherwise while a great many documents are loaded."""

from __future__ import annotations

import gc
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager

_SWITCH_SECONDS = 0.001  # how long a thread keeps the interpreter while another one wants it; 5 ms by default

_lock = threading.Lock()
_loads = 0
_before = 0.0
_frozen = False


@contextmanager
def bulk_loading() -> Iterator[None]:
    """Load with less looking for garbage and less waiting for the interpreter; afterwards all is as before.

    A stream of documents makes objects enough for the collector to look at everything in the process again
    and again, which took a tenth of a build: what is there when a load begins is left out meanwhile. The
    stages of a load are threads that compute without the interpreter and need it in between, for a moment.
    """
    _begin()
    try:
        yield
    finally:
        _end()


def _begin() -> None:
    global _loads, _before, _frozen
    with _lock:
        _loads += 1
        if _loads > 1:
            return
        _before = sys.getswitchinterval()
        sys.setswitchinterval(min(_before, _SWITCH_SECONDS))
        _frozen = gc.get_freeze_count() == 0  # who froze something himself wants it to stay so
        if _frozen:
            gc.freeze()


def _end() -> None:
    global _loads
    with _lock:
        _loads -= 1
        if _loads:
            return
        sys.setswitchinterval(_before)
        if _frozen:
            gc.unfreeze()
