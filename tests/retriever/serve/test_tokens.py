import pytest

from retriever.errors import ConfigError
from retriever.serve.settings import ServeSettings
from retriever.serve.tokens import make_token, read_tokens, scope_of

LONG = "a-secret-of-the-tests"


def test_tokens_come_from_the_environment_and_a_file(tmp_path):
    file = tmp_path / "tokens"
    file.write_text("# who\n\nread first-secret-of-the-tests\nwrite  second-secret-of-the-tests\n")
    tokens = read_tokens({"RETRIEVER_WRITE_TOKEN": LONG, "OTHER": "x"}, file)
    assert scope_of(tokens, LONG) == "write"
    assert scope_of(tokens, "first-secret-of-the-tests") == "read"
    assert scope_of(tokens, "second-secret-of-the-tests") == "write"
    assert scope_of(tokens, "third") is None
    assert scope_of((), "") is None
    assert all(LONG not in repr(token) for token in tokens)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("admin a-secret-of-the-tests", "line 1: unknown token scope 'admin'"),
        ("read short", "fewer than 16; make one with"),
        ("read with a blank inside it", "no HTTP header"),
        ("# nothing", "holds no token"),
    ],
)
def test_a_file_that_cannot_be_meant_is_refused(tmp_path, text, said):
    file = tmp_path / "tokens"
    file.write_text(text)
    with pytest.raises(ConfigError, match=said):
        read_tokens({}, file)


def test_a_file_that_is_absent_is_named(tmp_path):
    with pytest.raises(ConfigError, match="nowhere"):
        read_tokens({}, tmp_path / "nowhere")


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.4", "example.org"])
def test_beyond_loopback_a_token_is_needed(host):
    with pytest.raises(ConfigError, match="refusing to listen on"):
        ServeSettings(host=host).check()
    ServeSettings(host=host, tokens=(make_token("read", LONG),)).check()


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "::1", "127.0.0.2"])
def test_on_loopback_none_is_needed(host):
    ServeSettings(host=host).check()


def test_settings_travel_to_workers_as_json():
    settings = ServeSettings(tokens=(make_token("read", LONG),), workers=2)
    again = ServeSettings.model_validate_json(settings.model_dump_json())
    assert again == settings
    assert scope_of(again.tokens, LONG) == "read"
