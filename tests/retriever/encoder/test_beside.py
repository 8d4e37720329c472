"""What is slow to make is made beside, and waited for only as long as is wanted."""

from __future__ import annotations

import os
import threading
import time

import pytest

from retriever.encoder.beside import MadeBeside


def test_it_is_there_once_it_is_made():
    go, calls = threading.Event(), []

    def make():
        calls.append(1)
        go.wait(60)
        return "made"

    slow = MadeBeside(make)
    assert slow.get(0.01) is None
    assert slow.get(60) is None, "only the first call waits"
    go.set()
    slow.wait()
    assert slow.get(0) == "made"
    assert calls == [1]


def test_the_first_call_waits_as_long_as_it_is_worth():
    assert MadeBeside(lambda: "made").get(60) == "made"


def test_an_error_is_raised_where_the_thing_is_asked_for():
    def fail():
        raise OSError("no room")

    failing = MadeBeside(fail)
    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            failing.get(60)
        with pytest.raises(OSError, match="no room"):
            failing.wait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_waits_for_it():
    slow = MadeBeside(lambda: time.sleep(0.3) or "made")
    assert slow.get(0) is None
    child = os.fork()
    if child == 0:
        os._exit(0 if slow.get(0) == "made" else 1)
    assert os.waitpid(child, 0)[1] == 0
