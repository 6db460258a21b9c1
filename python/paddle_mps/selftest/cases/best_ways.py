"""The best of many ways: beams, chains of states, and edits from one text to another."""

import numpy as np
import paddle
from paddle.nn import functional as F

from ..tolerance import composed
from .case import Case


def _lengths(*numbers):
    return paddle.to_tensor(np.array(numbers, np.int64))


GATHER_TREE = (
    Case(
        kernel="gather_tree",
        call=lambda ids, parents: F.gather_tree(ids, parents % ids.shape[2]),
        shapes=(
            ((1, 2, 3), (1, 2, 3)),
            ((2, 1, 1), (2, 1, 1)),
            ((5, 2, 3), (5, 2, 3)),
            ((8, 3, 4), (8, 3, 4)),
            ((11, 2, 5), (11, 2, 5)),
        ),
        dtypes=("int32", "int64"),
        domain=("any", "few"),
    ),
)


def _viterbi(*lengths, has_ends):
    def call(scores, transitions):
        return paddle.text.viterbi_decode(scores, transitions, _lengths(*lengths), has_ends)

    return call


VITERBI = tuple(
    Case(
        kernel="viterbi_decode",
        name=name,
        call=_viterbi(*lengths, has_ends=has_ends),
        shapes=shapes,
        dtypes=("float32",),
        domain="small",
        rule=composed(16),
    )
    for name, has_ends, lengths, shapes in (
        ("", False, (4, 1, 3), (((3, 4, 5), (5, 5)), ((3, 6, 2), (2, 2)))),
        ("with_ends", True, (1, 5, 2), (((3, 5, 4), (4, 4)),)),
        ("of_one_step", False, (1, 1), (((2, 3, 3), (3, 3)),)),
    )
)


def _edits(normalized, lengths):
    def call(hypotheses, references):
        both = [_lengths(*each) for each in lengths] if lengths else [None, None]
        words = [t.cast("int64") for t in (hypotheses, references)]
        return list(paddle._C_ops.edit_distance(*words, *both, normalized))

    return call


EDITS = tuple(
    Case(
        kernel="edit_distance",
        name=name,
        call=_edits(normalized, lengths),
        shapes=shapes,
        dtypes=("float32",),
        domain="classes",
        rule=composed(1),
        layouts=False,  # static programs want names for what is absent
    )
    for name, normalized, lengths, shapes in (
        ("", False, ((7, 3, 1), (5, 5, 2)), (((3, 7), (3, 5)), ((3, 9), (3, 6)))),
        ("normalized", True, ((4, 2), (6, 1)), (((2, 4), (2, 6)),)),
    )
)

CASES = (*GATHER_TREE, *VITERBI, *EDITS)
