import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from retriever.sorted_ids import places_in

IDS = st.lists(st.integers(-5, 40), max_size=30)


@given(st.sets(st.integers(0, 30)), IDS)
def test_places_are_those_of_a_search_one_by_one(ids, wanted):
    there = sorted(ids)
    places = places_in(np.asarray(there, dtype=np.int64), np.asarray(wanted, dtype=np.int64))
    assert places.tolist() == [there.index(id) if id in ids else -1 for id in wanted]
