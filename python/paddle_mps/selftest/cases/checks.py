"""What looks at numbers: check_numerics, accuracy_check, auc; class_center_sample without chance.

What they find wrong is asked by tests/test_debugging.py and tests/test_metrics.py.
"""

import paddle

from ..tolerance import EXACT, rounded_once
from .case import ALL, FLOATS, Case


def _statistics(x):
    stats, values = paddle._C_ops.check_numerics(x, "op", "x", 1, -1, "")
    return [stats, values]


def _histograms(steps):
    def call(likelihood):
        rows, likelihood = likelihood.shape[0], likelihood.astype("float32")  # it takes no other
        bins = 8 if steps == 0 else 8 * (steps + 1) + 1
        positive = paddle.zeros([1, bins], "int64")
        negative = paddle.zeros([1, bins], "int64")
        label = (paddle.arange(rows) % 3 == 0).astype("int64").unsqueeze(1)
        for _ in range(3):
            _, positive, negative = paddle._C_ops.auc(
                likelihood, label, positive, negative, None, "ROC", 7, steps
            )
        return [positive, negative]

    return call


CASES = (
    Case(
        kernel="check_numerics",
        call=_statistics,
        shapes=(((1,),), ((7,),), ((4, 5, 6),), ((127, 131),)),
        dtypes=FLOATS,
        domain="small",
        rule=rounded_once(64, 1),
    ),
    Case(
        kernel="accuracy_check",
        call=lambda x: paddle._C_ops.accuracy_check(x, x.clone(), "op", 1e-5, 1e-8, True),
        shapes=(((1,),), ((7,),), ((4, 5, 6),)),
        dtypes=ALL,
        domain="small",
        rule=EXACT,
    ),
    *(
        Case(
            kernel="auc",
            name=f"of_{steps}",
            call=_histograms(steps),
            shapes=(((1, 2),), ((9, 2),), ((64, 1),)),
            dtypes=("float32",),
            domain="fractions",
            rule=EXACT,
        )
        for steps in (0, 1, 2)
    ),
    Case(
        kernel="class_center_sample",
        call=lambda label: list(paddle._C_ops.class_center_sample(label, 6, 1, 0, 0, 1, False, 0)),
        shapes=(((1,),), ((7,),), ((64,),)),
        dtypes=("int32", "int64"),
        domain="classes",
        rule=EXACT,
    ),
)
