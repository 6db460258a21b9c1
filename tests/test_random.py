"""Random numbers: the generator's sequence, its seeds and states, errors.

What holds whatever the numbers are (ranges, shapes, dtypes, fallbacks) is in the case tables. Here
every test has a seed, so that a statistic that passes once passes always; its threshold is one that
a right generator misses once in some ten thousand seeds. test_random_numbers.py and
test_random_samples.py ask for the distributions.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import paddle_mps
import pytest
from draws import (
    numbers,
    philox,
    place,
    truncated,
    weights,
)
from paddle import _C_ops
from paddle.nn import functional as F
from paddle_mps.selftest import harness

pytestmark = pytest.mark.usefixtures("on_mps")

# Every op that draws: what it does with one fixed input.
DRAWS: dict[str, Callable[[], paddle.Tensor]] = {
    "uniform": lambda: paddle.uniform([5, 7]),
    "rand": lambda: paddle.rand([5, 7]),
    "uniform_": lambda: paddle.zeros([5, 7]).uniform_(),
    "gaussian": lambda: paddle.randn([5, 7]),
    "normal_": lambda: paddle.zeros([5, 7]).normal_(),
    "truncated": lambda: truncated([35], -2.0, 3.0),
    "exponential_": lambda: paddle.zeros([35]).exponential_(),
    "randint": lambda: paddle.randint(0, 1 << 30, [35]),
    "random_": lambda: paddle.zeros([35], "int64").random_(),
    "randperm": lambda: paddle.randperm(100),
    "bernoulli": lambda: paddle.bernoulli(paddle.full([100], 0.5)),
    "multinomial": lambda: paddle.multinomial(weights(), 40, replacement=True),
    "multinomial_once": lambda: paddle.multinomial(paddle.ones([50]), 40),
    "poisson": lambda: paddle.poisson(paddle.full([50], 20.0)),
    "binomial": lambda: _C_ops.binomial(paddle.full([50], 40.0), paddle.full([50], 0.3)),
    "standard_gamma": lambda: paddle.standard_gamma(paddle.full([50], 2.0)),
    "dirichlet": lambda: _C_ops.dirichlet(paddle.full([5, 7], 2.0)),
    "dropout": lambda: F.dropout(paddle.ones([100]), 0.5),
    "dropout_by_axis": lambda: F.dropout(paddle.ones([100, 3]), 0.5, axis=0),
    "rrelu": lambda: F.rrelu(paddle.full([35], -1.0), 0.1, 0.9),
    "gumbel_softmax": lambda: F.gumbel_softmax(paddle.zeros([5, 7])),
}


@pytest.fixture(params=DRAWS)
def draw(request: pytest.FixtureRequest) -> Callable[[], paddle.Tensor]:
    return DRAWS[request.param]


# -- the sequence ---------------------------------------------------------------------------------


def test_the_generator_in_this_file_is_philox() -> None:
    """The vector of zeros that its authors publish."""
    assert [hex(word) for word in philox(0, 0, 1)] == [
        "0x6627e8d5",
        "0xe169c58d",
        "0xbc57ac4c",
        "0x9b00dbd8",
    ]


@pytest.mark.parametrize("seed", [0, 7, 2**32 - 1, 2**32 + 7, 2**63 - 1])
def test_uniform_numbers_are_words_of_philox(seed: int) -> None:
    paddle.seed(seed)
    drawn = np.concatenate([numbers(paddle.uniform([n], min=0, max=1)) for n in (10, 1, 64, 3)])
    words = philox(seed, 0, 3 + 1 + 16 + 1)  # each call draws whole blocks
    used = np.concatenate([words[0:10], words[12:13], words[16:80], words[80:83]])
    np.testing.assert_array_equal(drawn, (used >> np.uint64(8)) * 2.0**-24)


def test_nothing_drawn_moves_nothing() -> None:
    paddle.seed(3)
    first = numbers(paddle.rand([8]))
    paddle.seed(3)
    for shape in ([0], [3, 0, 2]):
        assert paddle.rand(shape).shape == shape
    np.testing.assert_array_equal(numbers(paddle.rand([8])), first)


def test_numbers_after_many_draws_are_still_those_of_the_sequence() -> None:
    """Also where the counter of blocks no longer has 32 bits."""
    generator = paddle.base.core.default_custom_device_generator(place())
    paddle.seed(5)
    for block in (2**31 - 1, 2**32 - 1, 2**40 + 3):
        _move_to(generator, 4 * block)
        drawn = numbers(paddle.uniform([12], min=0, max=1))
        np.testing.assert_array_equal(drawn, (philox(5, block, 3) >> np.uint64(8)) * 2.0**-24)


def _move_to(generator: object, offset: int) -> None:
    """Set how many words were drawn, through the pickled form of a state."""
    state = generator.get_state()
    device, seed, _, engine = state.__getstate__()
    moved = type(state).__new__(type(state))
    moved.__setstate__((device, seed, offset, engine))
    generator.set_state(moved)


# -- seeds and states -----------------------------------------------------------------------------


def test_a_seed_gives_the_same_numbers_again(draw: Callable) -> None:
    paddle.seed(7)
    first, second = numbers(draw()), numbers(draw())
    paddle.seed(7)
    np.testing.assert_array_equal(numbers(draw()), first)
    np.testing.assert_array_equal(numbers(draw()), second)
    assert (first != second).any()


def test_another_seed_gives_other_numbers(draw: Callable) -> None:
    drawn = []
    for seed in (7, 8, 7 + 2**32):
        paddle.seed(seed)
        drawn.append(numbers(draw()))
    assert (drawn[0] != drawn[1]).any()
    assert (drawn[0] != drawn[2]).any()


@pytest.mark.parametrize(
    ("get", "put"),
    [
        (paddle.get_rng_state, paddle.set_rng_state),
        (lambda: paddle.get_rng_state("mps"), lambda state: paddle.set_rng_state(state, "mps")),
        (paddle.device.get_rng_state, paddle.device.set_rng_state),
        (paddle_mps.get_rng_state, paddle_mps.set_rng_state),
    ],
    ids=["paddle", "paddle_by_name", "device", "paddle_mps"],
)
def test_a_state_that_was_kept_comes_back(get: Callable, put: Callable, draw: Callable) -> None:
    paddle.seed(11)
    draw()
    kept = get()
    first = numbers(draw())
    draw()
    put(kept)
    np.testing.assert_array_equal(numbers(draw()), first)


def test_the_cpus_generator_is_left_alone(draw: Callable) -> None:
    paddle.seed(3)
    with harness.on("cpu"):
        before = numbers(paddle.rand([4]))
    paddle.seed(3)
    draw()
    with harness.on("cpu"):
        np.testing.assert_array_equal(numbers(paddle.rand([4])), before)


def test_the_seed_of_an_op_is_its_own() -> None:
    def draw(seed: int) -> np.ndarray:
        return numbers(paddle.uniform([9], seed=seed))

    paddle.seed(3)
    following = numbers(paddle.rand([9]))
    paddle.seed(3)
    np.testing.assert_array_equal(draw(5), draw(5))
    assert (draw(5) != draw(6)).any()
    np.testing.assert_array_equal(numbers(paddle.rand([9])), following)


def test_a_number_of_one_graph_serves_all_seeds() -> None:
    paddle.rand([41, 3])
    before = paddle_mps.graph_cache_info().misses
    for seed in range(5):
        paddle.seed(seed)
        paddle.uniform([41, 3], min=-float(seed), max=seed + 1.0)
    assert paddle_mps.graph_cache_info().misses == before


# -- large, and wrong -----------------------------------------------------------------------------


def test_more_than_2_to_the_24_elements() -> None:
    count = 2**24 + 5
    paddle.seed(1)
    drawn = paddle.uniform([count], min=0, max=1).numpy()
    expected = (philox(1, 2**22, 2)[:5] >> np.uint64(8)) * 2.0**-24
    np.testing.assert_array_equal(drawn[-5:].astype(np.float64), expected)
    assert abs(drawn.mean(dtype=np.float64) - 0.5) < 4 * np.sqrt(1 / 12 / count)
    kept = paddle.bernoulli(paddle.full([count], 0.5)).numpy()
    assert abs(kept.mean(dtype=np.float64) - 0.5) < 4 * 0.5 / np.sqrt(count)


def _errors() -> dict[str, Callable]:
    x = paddle.to_tensor
    return {
        "negative weight": lambda: paddle.multinomial(x([0.5, -1.5])),
        "weight that is NaN": lambda: paddle.multinomial(x([0.5, float("nan")])),
        "no weight": lambda: paddle.multinomial(x([0.0, 0.0])),
        "a row without weight": lambda: paddle.multinomial(x([[1.0, 0.0], [0.0, 0.0]])),
        "no category": lambda: paddle.multinomial(paddle.zeros([3, 0])),
        "too many samples": lambda: paddle.multinomial(x([0.5, 1.0]), 3),
        "too many for the weights": lambda: paddle.multinomial(x([0.0, 1.0]), 2),
        "no samples": lambda: paddle.multinomial(x([0.5, 1.0]), 0),
        "three axes": lambda: paddle.multinomial(paddle.ones([2, 2, 2])),
        "no numbers": lambda: paddle.randint(5, 5, [3]),
        "backward range": lambda: paddle.zeros([3], "int64").random_(3, 3),
        "rate above 1": lambda: F.dropout(paddle.ones([3]), 1.5),
        "unknown mode": lambda: F.dropout(paddle.ones([3]), 0.5, mode="up"),
        "backward slopes": lambda: F.rrelu(paddle.ones([3]), 0.5, 0.25),
    }


def test_a_permutation_of_less_than_nothing() -> None:
    """The CPU's error is about memory that it did not get."""
    with pytest.raises(ValueError, match=r"expected 0 or more, got -1"):
        paddle.randperm(-1)


@pytest.mark.parametrize("what", [*_errors()])
def test_what_is_wrong_is_wrong_on_the_cpu_too(what: str) -> None:
    kinds = []
    for device in ("cpu", "mps"):
        with harness.on(device), pytest.raises(Exception) as raised:  # noqa: PT011 - compared below
            _errors()[what]()
        kinds.append(raised.type)
    assert kinds[0] is kinds[1], str(raised.value)


def test_windows_of_fractional_pooling_follow_the_seed(on_mps: None) -> None:
    x = paddle.to_tensor(np.arange(120, dtype="float32").reshape(1, 1, 10, 12))
    results = []
    for seed in (1, 1, 2, 3, 4):
        paddle.seed(seed)
        results.append(paddle.nn.functional.fractional_max_pool2d(x, [4, 5]).numpy())
    np.testing.assert_array_equal(results[0], results[1])
    assert any((other != results[0]).any() for other in results[2:])
