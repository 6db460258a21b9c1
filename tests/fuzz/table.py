"""The table that programs are drawn from: every case of the self-test, and ops on any shape."""

from __future__ import annotations

from case_rows import rows_of_case
from matrix_rows import MATRICES
from movement_rows import MOVEMENT
from paddle_mps.selftest.cases import ALL_CASES
from reduction_rows import REDUCTIONS
from rows import Row
from view_rows import CHANGES_ROWS, VIEW_ROWS

ROWS: tuple[Row, ...] = (
    *(row for case in ALL_CASES for row in rows_of_case(case)),
    *REDUCTIONS,
    *VIEW_ROWS,
    *MOVEMENT,
    *MATRICES,
    *CHANGES_ROWS,
)
BY_NAME = {row.name: row for row in ROWS}
assert len(BY_NAME) == len(ROWS), "two rows of one name"
