"""How compiled code is compiled: without the GIL, without Python objects, once for all processes."""

from __future__ import annotations

from typing import Any

from numba import njit


def compiled(function: Any) -> Any:
    """Compile without the GIL; keep the machine code on disk where there is a place for it."""
    # Nothing here allocates; without numba's reference counts a call costs a quarter.
    options: dict[str, Any] = {"nogil": True, "_nrt": False, "no_cfunc_wrapper": True}
    try:
        return njit(cache=True, **options)(function)
    except RuntimeError:  # no folder can be written: every process compiles for itself
        return njit(**options)(function)


def part(function: Any) -> Any:
    """Compile a function that only compiled code calls.

    Each is compiled twice, by itself and within its caller, which takes a twentieth of a second at the least
    and is what a first call waits for; so larger functions than elsewhere are left in one piece.
    """
    options: dict[str, Any] = {"_nrt": False, "no_cpython_wrapper": True, "no_cfunc_wrapper": True}
    return njit(nogil=True, **options)(function)
