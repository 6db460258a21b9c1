"""Numbers as people read them."""

from __future__ import annotations

_UNITS = ("B", "KiB", "MiB", "GiB", "TiB")
NO_LIMIT = 2**63 - 1  # bytes; what a limit is when there is none


def bytes_in_words(count: float) -> str:
    """Return "1.50 GiB", as the plugin's messages have it."""
    value, unit = float(count), 0
    while value >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    return f"{value:.0f} B" if unit == 0 else f"{value:.2f} {_UNITS[unit]}"


def limit_in_words(count: int) -> str:
    """Return the same for a limit, which there may be none of."""
    return "no limit" if count >= NO_LIMIT else bytes_in_words(count)
