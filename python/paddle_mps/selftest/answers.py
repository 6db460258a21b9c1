"""What was asked and what came back."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

PASSED, FAILED, CRASHED, REFUSED = STATES = ("passed", "failed", "crashed", "refused")
MOST_CRASHES = 10  # afterwards a part is given up: each costs a new process
SECONDS_PER_QUESTION = 180.0


@dataclass(frozen=True)
class Answer:
    """One question's."""

    name: str
    state: str
    message: str = ""
    seconds: float = 0.0


@dataclass
class Part:
    """One examination's."""

    name: str
    answers: list[Answer] = field(default_factory=list)
    left_out: str = ""  # what was not asked, and why
    seconds: float = 0.0
    tell: Callable[[Answer], None] = lambda answer: None

    def add(self, answer: Answer) -> None:
        """Keep an answer, and tell whoever watches."""
        self.answers.append(answer)
        self.tell(answer)

    def count(self, state: str) -> int:
        """How many ended so."""
        return sum(answer.state == state for answer in self.answers)

    @property
    def gives_up(self) -> bool:
        """Whether too many processes died to go on."""
        return self.count(CRASHED) >= MOST_CRASHES


class Deadline:
    """When everything has to be over."""

    def __init__(self, minutes: float) -> None:
        self.minutes = minutes
        self._end = time.monotonic() + 60 * minutes

    @property
    def over(self) -> bool:
        """Whether the time is up."""
        return time.monotonic() >= self._end

    def wait(self) -> float:
        """How long to wait for one answer."""
        return max(0.0, min(SECONDS_PER_QUESTION, self._end - time.monotonic()))
