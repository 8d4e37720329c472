"""Results as numbered sources for a language model, cut to a budget of tokens."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from retriever.encoder import StaticEncoder
from retriever.errors import InvalidInputError
from retriever.types import SearchResult

CountTokens = Callable[[str], int]

MIN_BUDGET = 64  # below this not even a header and a sentence fit
_BYTES_A_TOKEN = 4  # what language models' tokenizers take for plain English; other text has fewer
_MIN_PASSAGE = 16  # a shorter rest of a passage tells nothing
_LONGEST_TITLE = 200  # characters of a heading, which must not eat the passages' budget
_LONGEST_METADATA = 300  # in characters of JSON; longer ones are left to get_document
_CUT = " […]"


@dataclass(frozen=True, slots=True)
class Source:
    """A result as a language model sees it.

    :param number: what to cite it by, 1 for the best.
    :param result: the result.
    :param passage: its best passage, or as much of it as the budget allowed.
    :param complete: False where the passage was cut.
    """

    number: int
    result: SearchResult
    passage: str
    complete: bool

    @property
    def heading(self) -> str:
        """The line above the passage: number, title, id, and where in the document."""
        start, _ = self.result.span
        # On one line: a title with a line break in it could pass for another source.
        title = " ".join(self.result.title[:_LONGEST_TITLE].split())
        facts = json.dumps(dict(self.result.metadata), ensure_ascii=False) if self.result.metadata else ""
        facts = f", {facts}" if 0 < len(facts) <= _LONGEST_METADATA else ""
        place = f"(id {self.result.id!r}, characters {start}–{self.end}{facts})"
        return " ".join(part for part in (f"[{self.number}]", title, place) if part)

    @property
    def end(self) -> int:
        """Where the passage ends in the document's text, in characters."""
        start, end = self.result.span
        return end if self.complete else start + len(self.passage.removesuffix(_CUT))

    @property
    def text(self) -> str:
        """Heading and passage."""
        return f"{self.heading}\n{self.passage}"


@dataclass(frozen=True, slots=True)
class Sources:
    """What fits of a result list.

    :param sources: best first.
    :param omitted: results that did not fit.
    """

    sources: tuple[Source, ...]
    omitted: int

    @property
    def text(self) -> str:
        """The sources as one text, ready for a prompt."""
        if not self.sources:
            return "Nothing found." if not self.omitted else _omission(self.omitted)
        parts = [source.text for source in self.sources]
        return "\n\n".join([*parts, _omission(self.omitted)] if self.omitted else parts)


def token_counter(encoder: StaticEncoder) -> CountTokens:
    """Return a counter near to what language models' own tokenizers count, whichever they are.

    The encoder's tokenizer counts a long unknown string as one token, a language model's does not; so a text
    counts at least a token for every four bytes.

    :param encoder: whose tokenizer counts.
    :return: a function from a text to its tokens.
    """

    def count(text: str) -> int:
        by_bytes = -(-len(text.encode()) // _BYTES_A_TOKEN)
        return max(by_bytes, int(encoder.count_tokens([text])[0])) if text else 0

    return count


def cite(results: Sequence[SearchResult], *, max_tokens: int, count: CountTokens) -> Sources:
    """Number results and keep as many whole passages as the budget allows; the first too long is cut.

    :param results: best first.
    :param max_tokens: for the whole text, headings included.
    :param count: counts a text's tokens.
    :return: the sources; `count(sources.text) <= max_tokens`.
    :raises InvalidInputError: if the budget is too small for anything.
    """
    if max_tokens < MIN_BUDGET:
        raise InvalidInputError(f"max_tokens is {max_tokens}; give at least {MIN_BUDGET}")
    kept: list[Source] = []
    for number, result in enumerate(results, start=1):
        source = Source(number, result, result.passage, complete=True)
        if _fits(kept, source, len(results) - number, max_tokens, count):
            kept.append(source)
            continue
        shorter = _shortened(kept, source, len(results) - number, max_tokens, count)
        if shorter is not None:
            kept.append(shorter)
        break
    return Sources(tuple(kept), len(results) - len(kept))


def cut_to_budget(text: str, *, max_tokens: int, count: CountTokens) -> str:
    """Return the longest beginning that fits, ending at a word where there is one.

    :param text: any text.
    :param max_tokens: 1 or more.
    :param count: counts a text's tokens.
    :return: the text itself if it fits; else a beginning, never empty.
    """
    low, high = 1, 2
    # Twice as far each time, so that a little of a long text costs little.
    while low < len(text) and count(text[:high]) <= max_tokens:
        low, high = min(high, len(text)), 2 * high
    if low >= len(text):
        return text
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if count(text[:middle]) <= max_tokens else (low, middle)
    space = max(text.rfind(blank, 0, low + 1) for blank in " \n\t")
    return text[: space if space > low // 2 else low]


def _fits(kept: list[Source], source: Source, left: int, budget: int, count: CountTokens) -> bool:
    """Tell whether a source fits behind those kept, with the note about what may be left out."""
    return count(Sources((*kept, source), left).text) <= budget


def _shortened(
    kept: list[Source], source: Source, left: int, budget: int, count: CountTokens
) -> Source | None:
    """Return the source with as much of its passage as fits; None if that is next to nothing."""
    empty = Source(source.number, source.result, _CUT, complete=False)
    # A beginning that would fit alone may not behind the others, where tokens meet: hence the smaller tries.
    room = budget - count(Sources((*kept, empty), left).text)
    while room >= _MIN_PASSAGE:
        beginning = cut_to_budget(source.passage, max_tokens=room, count=count).rstrip()
        shorter = Source(source.number, source.result, beginning + _CUT, complete=False)
        if _fits(kept, shorter, left, budget, count):
            return shorter
        room -= max(1, room // 10)
    return None


def _omission(number: int) -> str:
    return f"({number} more left out: token budget)"
