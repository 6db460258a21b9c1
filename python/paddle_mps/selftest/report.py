"""The report of a self-test, as Markdown to paste into an issue."""

from __future__ import annotations

from collections import Counter
from typing import Any

from .answers import CRASHED, FAILED, REFUSED, STATES, Part

# An issue takes 65,536 characters.
_MOST_MESSAGES = 60
_MOST_LINES = 12
_MOST_CHARACTERS = 700


def status(facts: dict[str, Any], parts: list[Part]) -> int:
    """0: everything was asked and is well; 1: something is wrong; 2: something was left out."""
    wrong = any(part.count(FAILED) + part.count(CRASHED) for part in parts)
    if wrong or not facts["usable"]:
        return 1
    return 2 if not parts or any(part.left_out for part in parts) else 0


_VERDICTS = ("passed", "FAILED", "passed as far as it was asked; something was LEFT OUT")


def text(facts: dict[str, Any], parts: list[Part], info: str, when: str) -> str:
    """The whole report; `info` is the text of `python -m paddle_mps.info`."""
    lines = [f"# paddle_mps self-test: {_VERDICTS[status(facts, parts)]}", ""]
    lines += [f"- {line}" for line in _head(facts, when)]
    if parts:
        lines += ["", "| part | asked | " + " | ".join(STATES) + " | seconds |"]
        lines += ["|---" * (len(STATES) + 3) + "|"]
        for part in parts:
            counts = " | ".join(f"{part.count(state):,}" for state in STATES)
            row = f"| {part.name} | {len(part.answers):,} | {counts} | {part.seconds:.0f} |"
            lines.append(row)
        lines += [""] + [f"LEFT OUT of {p.name}: {p.left_out}." for p in parts if p.left_out]
    lines += _wrong(parts) + _refused(parts)
    lines += ["", "## The installation", "", "```", info, "```"]
    return "\n".join(lines) + "\n"


def _head(facts: dict[str, Any], when: str) -> list[str]:
    device = facts["devices"][0] if facts["devices"] else None
    named = f"{device['name']}, {device['backend']}" if device else f"none. {facts['reason']}"
    head = [
        f"device: {named}",
        f"system: {facts['system']}",
        f"versions: paddle_mps {facts['paddle_mps']}, Paddle {facts.get('paddle', 'unknown')}, "
        f"Python {facts['python'].partition(',')[0]}",
        f"date: {when}",
    ]
    if facts.get("fallback_tracking_problem"):
        head.append(f"ops that ran on the CPU were not seen: {facts['fallback_tracking_problem']}")
    return head


def _wrong(parts: list[Part]) -> list[str]:
    wrong = [
        (f"{part.name}/{answer.name}", answer)
        for part in parts
        for answer in part.answers
        if answer.state in (FAILED, CRASHED)
    ]
    lines = ["", "## What went wrong"] if wrong else []
    for name, answer in wrong[:_MOST_MESSAGES]:
        lines += ["", f"### {name}: {answer.state}", "", "```", _shortened(answer.message), "```"]
    if len(wrong) > _MOST_MESSAGES:
        lines += ["", f"Without their messages, {len(wrong) - _MOST_MESSAGES} more:", ""]
        lines += [f"- {name}: {answer.state}" for name, answer in wrong[_MOST_MESSAGES:]]
    return lines


def _shortened(message: str) -> str:
    lines = message.replace("```", "'''").splitlines()
    text = "\n".join(lines[:_MOST_LINES])[:_MOST_CHARACTERS]
    return text if text == "\n".join(lines) else f"{text} ... (cut)"


def _refused(parts: list[Part]) -> list[str]:
    reasons = Counter(
        answer.message for part in parts for answer in part.answers if answer.state == REFUSED
    )
    lines = ["", "## What this device or macOS cannot do", ""] if reasons else []
    return lines + [f"- {count} times: {reason}" for reason, count in reasons.most_common(40)]
