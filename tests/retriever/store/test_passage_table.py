import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from retriever.errors import CorruptCollectionError
from retriever.store.passage_table import PassageTable


@given(st.lists(st.tuples(st.integers(0, 5), st.lists(st.integers(1, 60), max_size=5)), max_size=12))
def test_it_is_a_mapping_that_survives_its_file(changes):
    table, model, last = PassageTable(), {}, 0
    for added, removed in changes:
        pids = np.arange(last + 1, last + 1 + added)
        table.append(pids, pids * 2)
        model.update({int(pid): int(pid) * 2 for pid in pids})
        last += added
        table.remove(np.asarray(sorted(set(removed)), dtype=np.int64))
        for pid in removed:
            model.pop(pid, None)
    asked = np.arange(0, 70)
    assert len(table) == len(model)
    assert table.pids.tolist() == sorted(model)
    assert table.rows_of(asked).tolist() == [model.get(pid, -1) for pid in range(70)]
    rows = np.zeros(table.last_row + 1, dtype=bool)
    rows[4::4] = True
    assert table.among(rows).tolist() == [pid for pid in sorted(model) if pid % 2 == 0]


def test_its_file(tmp_path):
    table = PassageTable()
    table.append(np.asarray([1, 2, 5]), np.asarray([7, 7, 9]))
    table.remove(np.asarray([2]))
    table.save(tmp_path / "passages.npy")
    assert PassageTable.load(tmp_path / "passages.npy").rows_of(np.arange(6)).tolist() == [
        -1,
        7,
        -1,
        -1,
        -1,
        9,
    ]
    (tmp_path / "passages.npy").write_bytes(b"nothing")
    with pytest.raises(CorruptCollectionError, match="cannot be read"):
        PassageTable.load(tmp_path / "passages.npy")
