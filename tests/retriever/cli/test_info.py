"""`retriever info`: what is in a collection, what it takes on disk, how it is searched."""

from __future__ import annotations

import json


def test_for_people(run, collection):
    result = run("info", collection)
    assert result.exit_code == 0
    assert "3 in 3 passages" in result.output
    assert "vectors" in result.output
    assert "(not the default)" in result.output


def test_for_machines(run, collection, encoder_folder):
    facts = json.loads(run("info", collection, "--json").stdout)
    assert (facts["documents"], facts["passages"], facts["dimensions"]) == (3, 3, 16)
    assert facts["config"]["encoder"] == encoder_folder
    assert facts["disk_bytes"]["documents"] > 0
    assert facts["disk_bytes"]["vectors"] > 0


def test_a_folder_that_is_no_collection(run, notes):
    result = run("info", notes)
    assert result.exit_code == 1
    assert "there is no collection in" in result.stderr
