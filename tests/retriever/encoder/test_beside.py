"""What is slow to make is made beside, and waited for only as long as is wanted."""

from __future__ import annotations

import os
import threading
import time

import pytest

from retriever.encoder import beside
from retriever.encoder.beside import MadeBeside

LOADED, ABSENT = "sys", "a_module_that_is_not_loaded"


def test_it_is_there_once_it_is_made():
    go, calls = threading.Event(), []

    def make():
        calls.append(1)
        go.wait(60)
        return "made"

    slow = MadeBeside(make, LOADED)
    assert slow.get(0.01) is None
    assert slow.get(60) is None, "only the call that begins it waits"
    go.set()
    slow.wait()
    assert slow.get(0) == "made"
    assert calls == [1]


def test_it_is_not_begun_before_there_was_work_for_it(monkeypatch):
    monkeypatch.setattr(beside, "WORTH", 1.0)
    lazy = MadeBeside(lambda: "made", ABSENT)
    assert [lazy.get(0.4), lazy.get(0.4)] == [None, None]
    assert lazy._thread is None
    assert lazy.get(0.4) == "made"


def test_the_call_that_begins_it_waits_as_long_as_its_work_takes(monkeypatch):
    monkeypatch.setattr(beside, "WORTH", 600.0)
    assert MadeBeside(lambda: time.sleep(0.1) or "made", LOADED).get(600) == "made"


def test_an_error_is_raised_where_the_thing_is_asked_for():
    def fail():
        raise OSError("no room")

    failing = MadeBeside(fail, LOADED)
    for _ in range(2):
        with pytest.raises(OSError, match="no room"):
            failing.get(60)
        with pytest.raises(OSError, match="no room"):
            failing.wait()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system does not fork")
@pytest.mark.filterwarnings("ignore:.*multi-threaded.*:DeprecationWarning")
def test_a_fork_waits_for_it():
    slow = MadeBeside(lambda: time.sleep(0.3) or "made", LOADED)
    assert slow.get(0) is None
    child = os.fork()
    if child == 0:
        os._exit(0 if slow.get(0) == "made" else 1)
    assert os.waitpid(child, 0)[1] == 0
