"""How compiled code is compiled: without the GIL, without Python objects, once for all processes."""

from __future__ import annotations

from typing import Any

from numba import njit
from numba.core import config
from numba.core.compiler_lock import global_compiler_lock

settings: Any = config  # made at run time, unknown to type checkers


def compiled(function: Any) -> Any:
    """Compile without the GIL; keep the machine code on disk where there is a place for it."""
    # Nothing here allocates; without numba's reference counts a call costs a quarter.
    options: dict[str, Any] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
    try:
        made = njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written: every process compiles for itself
        made = njit(**options)(function)
    compile_as_set = made.compile

    def compile_without_vectorizer(signature: Any) -> Any:
        """Compile. What is worth it is written as vectors; to look for more took a fifth of the time.

        The setting is the process's; who compiles something else meanwhile waits for the lock.
        """
        with global_compiler_lock:
            before, settings.LOOP_VECTORIZE = settings.LOOP_VECTORIZE, 0
            try:
                return compile_as_set(signature)
            finally:
                settings.LOOP_VECTORIZE = before

    made.compile = compile_without_vectorizer
    return made


def part(function: Any) -> Any:
    """Compile a function that only compiled code calls.

    Each is compiled twice, by itself and within its caller, which takes a twentieth of a second at the least;
    so larger functions than elsewhere are left in one piece.
    """
    options: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(nogil=True, **options)(function)
