import json

from tests.factories import tiny_encoder


def test_sync_reads_what_changed(run, collection, notes):
    first = run("sync", notes, "--to", collection, "--json")
    assert first.exit_code == 0, first.output
    assert json.loads(first.stdout)["documents"] == 3
    (notes / "cat.md").write_text("# Pets\n\nThe dog ran.\n")
    (notes / "storm.html").unlink()
    answer = json.loads(run("sync", notes, "--to", collection, "--json").stdout)
    assert (answer["read"], answer["unchanged"], answer["gone"], answer["documents"]) == (1, 1, 1, 2)
    assert "1 files read" not in run("sync", notes, "--to", collection).stdout


def test_sync_deletes_what_index_had_read(run, collection, notes):
    (notes / "cat.md").unlink()
    (notes / "sub" / "stocks.txt").write_text("Stocks rose.\n")
    answer = json.loads(run("sync", notes, "--to", collection, "--json").stdout)
    assert (answer["read"], answer["unchanged"], answer["gone"], answer["deleted"]) == (1, 1, 1, 1)
    assert answer["documents"] == 2
    assert "cat.md" not in run("search", collection, "cat", "--json").stdout


def test_sync_deletes_records_that_a_later_index_no_longer_found(run, tmp_path, encoder_folder):
    table, folder = tmp_path / "birds.jsonl", tmp_path / "birds"
    table.write_text('{"id": "b1", "text": "zebra bird"}\n{"id": "b2", "text": "blue bird"}\n')
    assert run("index", table, "--out", folder, "--encoder", encoder_folder).exit_code == 0
    table.write_text('{"id": "b2", "text": "blue bird"}\n')
    assert "1 of the collection not in these sources" in run("index", table, "--out", folder).output
    answer = json.loads(run("sync", table, "--to", folder, "--json").stdout)
    assert (answer["deleted"], answer["documents"]) == (1, 1)


def test_compact_and_rebuild_keep_everything(run, collection):
    assert "MB now" in run("compact", collection).stdout
    answer = run("rebuild", collection)
    assert answer.exit_code == 0 and "indexes of 3 documents made again" in answer.stdout
    found = json.loads(run("search", collection, "cat", "--json").stdout)
    assert "cat.md" in json.dumps(found)


def test_a_folder_named_from_here_is_found_from_elsewhere(run, collection, tmp_path, monkeypatch):
    tiny_encoder().save(tmp_path / "mine")
    monkeypatch.chdir(tmp_path)
    assert run("rebuild", collection, "--encoder", "mine").exit_code == 0
    monkeypatch.chdir("/")
    found = run("search", collection, "cat", "--json")
    assert found.exit_code == 0 and "cat.md" in found.stdout
    (tmp_path / "mine").rename(tmp_path / "moved")
    missed = run("search", collection, "cat")
    assert missed.exit_code == 1 and "put it back" in " ".join(missed.output.split())


def test_a_collection_is_rebuilt_with_another_encoder(run, collection, tmp_path):
    before = json.loads(run("info", collection, "--json").stdout)["dimensions"]
    tiny_encoder(dimensions=before // 2).save(tmp_path / "mine")
    assert run("rebuild", collection, "--encoder", tmp_path / "mine").exit_code == 0
    assert json.loads(run("info", collection, "--json").stdout)["dimensions"] == before // 2
    assert "cat.md" in run("search", collection, "cat", "--json").stdout
    assert run("rebuild", collection, "--encoder", tmp_path / "none").exit_code == 1
    assert "cat.md" in run("search", collection, "cat", "--json").stdout


def test_damage_names_the_command_and_the_command_repairs_it(run, collection):
    (vectors,) = collection.glob("vectors-*.faiss")
    vectors.write_bytes(vectors.read_bytes()[:-3])
    answer = run("search", collection, "cat")
    assert answer.exit_code == 1 and f"retriever rebuild {collection}" in answer.output
    assert run("rebuild", collection).exit_code == 0
    assert run("search", collection, "cat").exit_code == 0


def test_info_says_which_index_and_why(run, collection):
    shown = run("info", collection).stdout
    assert "flat" in shown and "searched exactly" in shown
    facts = json.loads(run("info", collection, "--json").stdout)
    assert facts["index"]["index"] == "flat" and facts["index"]["recall"] == 1.0


def test_a_sync_that_fails_says_how_far_it_came(run, notes, collection):
    run("sync", notes, "--to", collection)
    (notes / "zz.txt").write_bytes(b"caf\xe9")
    result = run("sync", notes, "--to", collection)
    assert result.exit_code == 1
    assert "3 of 4 files are in line; the same command goes on" in result.stderr
    assert "zz.txt is not UTF-8" in result.stderr
