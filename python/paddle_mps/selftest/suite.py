"""Every question of the operator suite, in the order in which they are asked."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from . import gradients, layouts, values

# name -> what asks, and the rows of arguments that it is asked with
_TABLE: dict[str, tuple[Callable[..., None], list[tuple]]] = {
    "value": (values.value, values.pairs()),
    "large": (values.large, values.pairs(values.is_large)),
    "special_values": (values.special, values.pairs(values.is_pointwise)),
    "denormals": (values.denormal, values.pairs(values.has_denormals)),
    "in_place": (values.in_place, values.pairs(values.changes_in_place)),
    "in_a_program": (values.in_a_program, values.pairs(values.is_program)),
    "layout": (layouts.layout, layouts.LAID_OUT),
    "mixed_layouts": (layouts.mixed, values.pairs(layouts.takes_two_views)),
    "part_in_place": (layouts.part_in_place, layouts.PARTS),
    "gradient": (gradients.gradient, gradients.pairs()),
    "gradient_of_one_input": (gradients.one_input_alone, gradients.ALONE),
    "gradient_in_any_layout": (gradients.in_any_layout, gradients.LAID_OUT),
}


@dataclass(frozen=True)
class Question:
    name: str
    ask: Callable[..., None]
    row: tuple


def questions() -> list[Question]:
    return [
        Question(f"{name}[{'-'.join(map(str, row))}]", ask, row)
        for name, (ask, rows) in _TABLE.items()
        for row in rows
    ]
