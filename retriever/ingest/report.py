"""What a reader left out, so that nothing disappears without a word."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field

_EXAMPLES = 3
NOT_READABLE = "not readable"  # a file
NOT_USABLE = "not usable"  # a record


@dataclass(slots=True)
class ReadReport:
    """Counts of what was read and what was left out, filled in while documents are read.

    :param files: files read to their end.
    :param documents: documents handed on.
    :param skipped: how many files or records were left out, by reason.
    :param examples: the first few names for each reason.
    """

    files: int = 0
    documents: int = 0
    skipped: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, name: str, reason: str) -> None:
        """Note that something was left out.

        :param name: the file, or the file and line.
        :param reason: why, in a few words; the same words for the same reason.
        """
        self.skipped[reason] += 1
        examples = self.examples.setdefault(reason, [])
        if len(examples) < _EXAMPLES:
            examples.append(name)

    @property
    def unread(self) -> int:
        """How many files and records could not be read; what is empty is not among them."""
        return self.skipped[NOT_READABLE] + self.skipped[NOT_USABLE]

    def lines(self) -> list[str]:
        """Return one line for each reason: how many were left out, why, and the first few names."""
        return [
            f"{count:,} skipped, {reason}: {', '.join(self.examples[reason])}"
            + (", …" if count > len(self.examples[reason]) else "")
            for reason, count in self.skipped.most_common()
        ]
