"""Cuts long texts into passages at the most natural boundary that fits."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from semantic_text_splitter import TextSplitter

from retriever.errors import InvalidInputError

if TYPE_CHECKING:
    from tokenizers import Tokenizer

# The library's time grows with the square of a text without spaces or line ends. So it sees windows of
# this many characters a token at a time, and a window starts again at the last passage of the one before.
_WINDOW_CHARACTERS_A_TOKEN = 40


class Splitter:
    """Splits texts that are longer than a passage, and leaves the others whole.

    Passages end at paragraphs where they can, else at sentences, words or characters (the semantic levels of
    `semantic-text-splitter`). Keeps no state between texts: one instance serves many threads.

    :param tokenizer: counts the tokens, special tokens left out; it is copied and never changed.
    :param passage_tokens: longest passage in tokens; None never splits.
    :param overlap: greatest number of tokens that neighbouring passages share.
    :param count: counts a text's tokens as the tokenizer does, only faster. Each character is counted about
        six times while boundaries are sought, which is nearly all of the time that splitting takes.
    :raises InvalidInputError: if the passage is shorter than one token or the overlap fills it.
    """

    def __init__(
        self,
        tokenizer: Tokenizer,
        *,
        passage_tokens: int | None,
        overlap: int,
        count: Callable[[str], int] | None = None,
    ) -> None:
        if passage_tokens is not None and passage_tokens < 1:
            raise InvalidInputError(
                f"passage_tokens is {passage_tokens}: give 1 or more, or None to never split"
            )
        if overlap < 0 or (passage_tokens is not None and overlap >= passage_tokens):
            raise InvalidInputError(
                f"overlap is {overlap}: give 0 or more, and less than passage_tokens ({passage_tokens})"
            )
        self.passage_tokens = passage_tokens
        self.overlap = overlap
        self._splitter: TextSplitter | None = None
        if passage_tokens is not None:
            self._window = passage_tokens * _WINDOW_CHARACTERS_A_TOKEN
            if count is not None:
                self._splitter = TextSplitter.from_callback(count, passage_tokens, overlap=overlap)
            else:
                own = type(tokenizer).from_str(tokenizer.to_str())
                own.no_truncation()
                own.no_padding()
                self._splitter = TextSplitter.from_huggingface_tokenizer(own, passage_tokens, overlap=overlap)

    def spans(self, text: str, n_tokens: int) -> list[tuple[int, int]]:
        """Return where the passages of a text are.

        :param text: the text, whole.
        :param n_tokens: how many tokens it has; not counted again here.
        :return: one [start, end) in characters a passage, in order, without the white space around it; the
            whole text as one span where it fits.
        """
        whole = [(0, len(text))]
        if self._splitter is None or self.passage_tokens is None or n_tokens <= self.passage_tokens:
            return whole
        return self._windowed(self._splitter, text) or whole

    def _windowed(self, splitter: TextSplitter, text: str) -> list[tuple[int, int]]:
        """Split window after window, so that the time grows with the length and not with its square."""
        spans: list[tuple[int, int]] = []
        start = 0
        while start < len(text):
            stop = min(start + self._window, len(text))
            found = [
                (start + offset, start + offset + len(passage))
                for offset, passage in splitter.chunk_indices(text[start:stop])
            ]
            if stop == len(text):
                spans += found
                break
            if len(found) > 1 and found[-1][0] > start:
                # The last passage was cut short by the window's end: the next window does it over.
                spans += found[:-1]
                start = found[-1][0]
            else:
                spans += found
                start = stop
        return spans
