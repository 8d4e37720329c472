from retriever.lexical.matched_words import matched_words


def test_words_match_by_stem_case_and_accent():
    assert matched_words("reading files", "Read a FILE; reader, filed.") == ["Read", "FILE", "filed"]
    assert matched_words("café", "Cafe and café") == ["Cafe", "café"]


def test_stop_words_count_only_where_there_is_nothing_else():
    assert matched_words("the cat", "The cat and the dog") == ["cat"]
    assert matched_words("to be or not to be", "To be is to do") == ["To", "be", "to"]


def test_nothing_matches_nothing():
    assert matched_words("", "text") == []
    assert matched_words("zebra", "") == []
    assert matched_words("🦓 !?", "text") == []
