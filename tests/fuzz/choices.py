"""Bytes that Hypothesis draws, spent as digits of numbers: smaller bytes mean plainer programs."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

T = TypeVar("T")
Shape = tuple[int, ...]

# Lengths of axes: none, one, primes, and one beyond a vector register. The plainest first.
LENGTHS = (2, 1, 3, 0, 5, 7, 13, 37)
MOST_ELEMENTS = 3000


class Choices:
    """Answers questions from a few bytes; what they do not answer any more is 0."""

    def __init__(self, drawn: bytes) -> None:
        self._left = int.from_bytes(drawn, "little")

    def below(self, count: int) -> int:
        """Return a number from 0 to count - 1."""
        self._left, answer = divmod(self._left, count)
        return answer

    def pick(self, among: Sequence[T]) -> T:
        """Return one of them."""
        return among[self.below(len(among))]

    def flag(self) -> bool:
        """Return False or True."""
        return self.below(2) == 1

    def subset(self, among: Sequence[T]) -> list[T]:
        """Return some of them, one at least."""
        some = [one for one in among if self.flag()]
        return some or [self.pick(among)]

    def permutation(self, count: int) -> list[int]:
        """Return the numbers from 0 to count - 1 in some order."""
        left = list(range(count))
        return [left.pop(self.below(len(left))) for _ in range(count)]

    def shape(self, least: int = 0, most: int = 4) -> Shape:
        """Return a shape of few elements."""
        dims = [self.pick(LENGTHS) for _ in range(least + self.below(most + 1 - least))]
        elements = 1
        for i, n in enumerate(dims):
            dims[i] = n if elements * n <= MOST_ELEMENTS else 1
            elements *= max(1, dims[i])
        return tuple(dims)

    def positions(self, count: int, length: int) -> list[int]:
        """Return `count` numbers from 0 to length - 1, some of them more than once."""
        return [self.below(length) for _ in range(count)]
