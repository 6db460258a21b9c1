"""Random numbers: the generator's sequence, its seeds and states, and the distributions.

What holds whatever the numbers are (ranges, shapes, dtypes, fallbacks) is in the case tables. Here
every test has a seed, so that a statistic that passes once passes always; its threshold is one that
a right generator misses once in some ten thousand seeds.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import paddle
import paddle_mps
import pytest
from paddle import _C_ops
from paddle.nn import functional as F
from paddle_mps.selftest import harness
from scipy import stats

pytestmark = pytest.mark.usefixtures("on_mps")

HALVES = ("float16", "bfloat16")
FLOATS = ("float32", *HALVES)
RARE = 1e-4  # of a p-value


def place() -> object:
    return paddle.framework._current_expected_place()


def numbers(x: paddle.Tensor) -> np.ndarray:
    """The elements in float64, or as they are if they are whole."""
    return harness.values(x).numbers


def truncated(shape: list[int], low: float, high: float) -> paddle.Tensor:
    return _C_ops.truncated_gaussian_random(shape, 1.0, 2.0, 0, low, high, paddle.float32, place())


def weights() -> paddle.Tensor:
    return paddle.to_tensor([1.0, 0.0, 3.0, 2.0, 0.0, 10.0])


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


def philox(seed: int, block: int, blocks: int) -> np.ndarray:
    """Words of Philox4x32-10 in NumPy, written from the paper and not from the plugin."""
    mask = np.uint64(0xFFFFFFFF)
    counter = np.arange(blocks, dtype=np.uint64) + np.uint64(block)
    x = [counter & mask, counter >> np.uint64(32), counter * 0, counter * 0]
    key = [seed & 0xFFFFFFFF, seed >> 32]
    for _ in range(10):
        first, second = x[0] * np.uint64(0xD2511F53), x[2] * np.uint64(0xCD9E8D57)
        x = [
            (second >> np.uint64(32)) ^ x[1] ^ np.uint64(key[0]),
            second & mask,
            (first >> np.uint64(32)) ^ x[3] ^ np.uint64(key[1]),
            first & mask,
        ]
        key = [(key[0] + 0x9E3779B9) % 2**32, (key[1] + 0xBB67AE85) % 2**32]
    return np.stack(x, axis=-1).reshape(-1)


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


# -- distributions of real numbers ----------------------------------------------------------------

COUNT = 200_000


@pytest.mark.parametrize(
    ("make", "distribution"),
    [
        (lambda: paddle.uniform([COUNT], min=-1, max=3), stats.uniform(-1, 4)),
        (lambda: paddle.zeros([COUNT]).uniform_(2, 2.5), stats.uniform(2, 0.5)),
        (lambda: paddle.normal(1.0, 2.0, [COUNT]), stats.norm(1, 2)),
        (lambda: paddle.randn([COUNT + 1]), stats.norm()),
        (lambda: paddle.zeros([COUNT]).normal_(-3, 0.5), stats.norm(-3, 0.5)),
        (lambda: truncated([COUNT], -1.0, 2.0), stats.truncnorm(-1, 0.5, 1, 2)),
        (lambda: paddle.zeros([COUNT]).exponential_(4.0), stats.expon(scale=0.25)),
        (lambda: F.rrelu(paddle.full([COUNT], -1.0), 0.2, 0.7), stats.uniform(-0.7, 0.5)),
    ],
    ids=["uniform", "uniform_", "normal", "randn", "normal_", "truncated", "exponential_", "rrelu"],
)
def test_the_distribution_is_right(make: Callable, distribution: object) -> None:
    """Kolmogorov and Smirnov's, then the moments, which see the tails better."""
    paddle.seed(1)
    drawn = numbers(make())
    assert stats.kstest(drawn, distribution.cdf).pvalue > RARE
    mean, variance = distribution.stats("mv")
    kurtosis = float(distribution.stats("k")) + 3
    assert abs(drawn.mean() - mean) < 4 * np.sqrt(variance / drawn.size)
    spread = np.sqrt((kurtosis - 1) / drawn.size)
    assert abs(drawn.var() / variance - 1) < 4 * spread


@pytest.mark.parametrize("dtype", HALVES)
def test_short_floats_have_the_same_distributions(dtype: str) -> None:
    """Rounded from float32, once."""
    step = 2.0**-8 if dtype == "bfloat16" else 2.0**-11
    for make in (
        lambda dtype: paddle.uniform([COUNT], dtype, 1, 2),
        lambda dtype: paddle.zeros([COUNT], dtype).normal_(1, 2),
        lambda dtype: paddle.zeros([COUNT], dtype).exponential_(2.0),
    ):
        paddle.seed(2)
        long = numbers(make("float32"))
        paddle.seed(2)
        short = numbers(make(dtype))
        # Only next to an end that does not belong to the range is there more than rounding.
        np.testing.assert_allclose(short, long, rtol=2 * step, atol=1e-7)


def test_the_tails_of_the_normal_distribution_are_there() -> None:
    paddle.seed(4)
    drawn = np.abs(numbers(paddle.randn([4_000_000])))
    for bound in (3, 4, 4.75):
        expected = drawn.size * 2 * stats.norm.sf(bound)
        assert abs((drawn > bound).sum() - expected) < 4 * np.sqrt(expected)
    assert np.isfinite(drawn).all()


def test_pairs_of_normal_numbers_are_independent() -> None:
    """The two halves are made of the same words."""
    paddle.seed(5)
    first, second = numbers(paddle.randn([2, COUNT]))
    for x, y in ((first, second), (first**2, second**2), (np.abs(first), second)):
        assert stats.pearsonr(x, y).pvalue > RARE


def test_neighbours_are_independent() -> None:
    paddle.seed(6)
    drawn = numbers(paddle.rand([COUNT]))
    for distance in (1, 2, 3, 4, 5, 16, 64):
        assert stats.pearsonr(drawn[distance:], drawn[:-distance]).pvalue > RARE


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize(("low", "high"), [(0, 1), (1, 2), (-1, 0), (-3, 5), (1000, 1001), (0, 7)])
def test_a_range_has_its_low_end_and_not_its_high_end(dtype: str, low: int, high: int) -> None:
    paddle.seed(7)
    drawn = numbers(paddle.uniform([300_000], dtype, low, high))
    assert drawn.min() >= low
    assert drawn.max() < high or dtype == "bfloat16" and high - low == 1 and low == 1000
    if dtype != "float32" and high - low <= 8 and abs(low) <= 8:
        assert drawn.min() <= low + 0.01 * (high - low)
        assert drawn.max() >= high - 0.01 * (high - low)


def test_exponential_numbers_are_never_0() -> None:
    paddle.seed(8)
    drawn = numbers(paddle.zeros([10_000_000]).exponential_())
    assert drawn.min() > 0
    assert np.isfinite(drawn).all()


def test_the_diagonal_of_a_uniform_tensor() -> None:
    paddle.seed(9)
    x = paddle.zeros([4, 5])
    _C_ops.uniform_inplace_(x, 1.0, 2.0, 0, 3, 5, 9.0)
    drawn = numbers(x)
    assert (drawn == 9).sum() == 3
    assert [drawn[i, i] for i in range(3)] == [9, 9, 9]


def test_initializers_draw_on_the_device() -> None:
    from paddle.nn import initializer as init

    paddle.seed(10)
    for start, deviation in (
        (init.Normal(0.0, 0.5), 0.5),
        (init.Uniform(-1.0, 1.0), np.sqrt(1 / 3)),
        (init.TruncatedNormal(0.0, 1.0), 0.8796),
        (init.XavierUniform(), np.sqrt(2 / 600)),
        (init.KaimingNormal(), np.sqrt(2 / 300)),
    ):
        layer = paddle.nn.Linear(300, 300, weight_attr=paddle.ParamAttr(initializer=start))
        assert numbers(layer.weight).std() == pytest.approx(deviation, rel=0.02)


# -- whole numbers --------------------------------------------------------------------------------


def assert_even(counts: np.ndarray, expected: np.ndarray | None = None) -> None:
    assert stats.chisquare(counts, expected).pvalue > RARE


@pytest.mark.parametrize("dtype", ["int32", "int64"])
@pytest.mark.parametrize(("low", "high"), [(0, 2), (-3, 4), (0, 10), (-(2**31), 2**31 - 1)])
def test_whole_numbers_are_evenly_spread(dtype: str, low: int, high: int) -> None:
    paddle.seed(1)
    drawn = numbers(paddle.randint(low, high, [COUNT], dtype)).astype(np.int64)
    assert drawn.min() >= low
    assert drawn.max() < high
    bins = min(high - low, 64)
    assert_even(np.bincount((drawn - low) * bins // (high - low), minlength=bins))


def test_no_number_of_a_large_range_is_twice_as_likely() -> None:
    """A remainder of 32 bits would make the lower third of 3 * 2^30 numbers so."""
    paddle.seed(2)
    drawn = numbers(paddle.randint(-(2**30), 2**31 - 1, [COUNT], "int64")).astype(np.int64)
    assert_even(np.bincount((drawn + 2**30) >> 30, minlength=3))


@pytest.mark.parametrize(("low", "high"), [(0, 2**40), (-5, 3 * 2**40), (-(2**63), 2**63 - 1)])
def test_whole_numbers_of_64_bits(low: int, high: int) -> None:
    paddle.seed(3)
    drawn = paddle.zeros([COUNT], "int64").random_(low, high).numpy()
    assert drawn.min() >= low
    assert drawn.max() < high
    if high - low < 2**63:
        bins = np.array([(int(x) - low) * 16 // (high - low) for x in drawn])
        assert_even(np.bincount(bins, minlength=16))


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int32", "int64"])
def test_random_in_place(dtype: str) -> None:
    paddle.seed(4)
    drawn = numbers(paddle.zeros([COUNT], dtype).random_(-2, 6)).astype(np.int64)
    assert_even(np.bincount(drawn + 2, minlength=8))


@pytest.mark.parametrize("count", [0, 1, 2, 3, 1000, 300_001])
def test_a_permutation_has_every_number_once(count: int) -> None:
    paddle.seed(5)
    drawn = numbers(paddle.randperm(count))
    np.testing.assert_array_equal(np.sort(drawn), np.arange(count))
    if count >= 1000:
        assert (drawn == np.arange(count)).sum() < 10
        half = drawn[: count // 2] < count // 2
        assert abs(half.mean() - 0.5) < 4 * 0.5 / np.sqrt(count / 2)


def test_every_permutation_is_as_likely() -> None:
    paddle.seed(6)
    drawn = [tuple(numbers(paddle.randperm(4))) for _ in range(4800)]
    counts = [drawn.count(order) for order in set(drawn)]
    assert len(counts) == 24
    assert_even(np.array(counts))


# -- samples of a distribution --------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
def test_bernoulli(dtype: str) -> None:
    paddle.seed(1)
    rates = np.array([0.0, 1e-3, 0.25, 0.5, 0.999, 1.0])
    x = harness.tensor(np.repeat(rates[:, None], COUNT, 1), dtype)
    drawn, rates = numbers(paddle.bernoulli(x)), numbers(x)[:, 0]
    assert set(np.unique(drawn)) == {0, 1}
    for row, rate in zip(drawn, rates):
        assert abs(row.mean() - rate) <= 4 * np.sqrt(rate * (1 - rate) / COUNT)


@pytest.mark.parametrize("dtype", FLOATS)
def test_multinomial_with_replacement(dtype: str) -> None:
    paddle.seed(2)
    x = weights().astype(dtype)
    drawn = numbers(paddle.multinomial(x, COUNT, replacement=True))
    counts = np.bincount(drawn, minlength=6)
    assert counts[1] == counts[4] == 0
    share = numbers(x) / numbers(x).sum()
    assert_even(counts[share > 0], share[share > 0] * COUNT)


def test_multinomial_without_replacement() -> None:
    """First and second place, against what their probabilities are."""
    paddle.seed(3)
    drawn = numbers(paddle.multinomial(paddle.tile(weights(), [50_000, 1]), 4))
    assert all(sorted(row) == [0, 2, 3, 5] for row in drawn[:100])
    share = numbers(weights()) / 16
    pairs = np.bincount(drawn[:, 0] * 6 + drawn[:, 1], minlength=36).reshape(6, 6)
    expected = share[:, None] * share / (1 - share[:, None]) * len(drawn)
    np.fill_diagonal(expected, 0)
    assert (pairs[expected == 0] == 0).all()
    assert_even(pairs[expected > 0], expected[expected > 0])


def test_multinomial_by_rows() -> None:
    paddle.seed(4)
    x = paddle.to_tensor([[0.0, 0.5, 0.5], [1.0, 0.0, 0.0], [20.0, 20.0, 40.0]])
    drawn = numbers(paddle.multinomial(x, 20_000, replacement=True))
    assert drawn.shape == (3, 20_000)
    assert set(drawn[0]) == {1, 2}
    assert set(drawn[1]) == {0}
    assert_even(np.bincount(drawn[2]), np.array([5000, 5000, 10_000]))


def test_multinomial_of_many_categories() -> None:
    """Sums of 100,000 weights: the last ones are reached, and nothing beyond them."""
    paddle.seed(5)
    drawn = numbers(paddle.multinomial(paddle.ones([100_000]), COUNT, replacement=True))
    assert drawn.max() < 100_000
    assert_even(np.bincount(drawn // 1000, minlength=100))


def assert_counts(drawn: np.ndarray, distribution: object) -> None:
    """Chi-square over counts that come often enough, and the mean."""
    assert (drawn == np.round(drawn)).all()
    edges = np.unique(distribution.ppf(np.linspace(0.002, 0.998, 40)))
    counts = np.histogram(drawn, np.concatenate([[-np.inf], edges + 0.5, [np.inf]]))[0]
    expected = np.diff(np.concatenate([[0], distribution.cdf(edges), [1]])) * COUNT
    keep = expected > 5
    counts = np.append(counts[keep], counts[~keep].sum())
    expected = np.append(expected[keep], expected[~keep].sum())
    assert_even(counts[expected > 0], expected[expected > 0])
    mean, variance = distribution.stats("mv")
    assert abs(drawn.mean() - mean) < 4 * np.sqrt(variance / COUNT)


@pytest.mark.parametrize("mean", [1e-3, 0.5, 4.0, 11.9, 12.0, 13.5, 60.0, 1000.0, 3e5])
def test_poisson(mean: float) -> None:
    paddle.seed(7)
    drawn = numbers(paddle.poisson(paddle.full([COUNT], mean)))
    assert_counts(drawn, stats.poisson(np.float64(np.float32(mean))))


@pytest.mark.parametrize(
    ("trials", "rate"),
    [(1, 0.3), (7, 0.5), (20, 0.5), (20, 0.51), (25, 0.9), (1000, 0.002), (1000, 0.01)]
    + [(1000, 0.5), (1000, 0.997), (100_000, 0.25), (10_000_000, 0.6)],
)
def test_binomial(trials: int, rate: float) -> None:
    paddle.seed(7)
    counts, rates = paddle.full([COUNT], float(trials)), paddle.full([COUNT], rate)
    drawn = numbers(_C_ops.binomial(counts, rates))
    assert drawn.min() >= 0
    assert drawn.max() <= trials
    assert_counts(drawn, stats.binom(trials, np.float64(np.float32(rate))))


def test_poisson_of_what_is_no_mean() -> None:
    drawn = numbers(paddle.poisson(paddle.to_tensor([0.0, -1.0, float("nan")])))
    np.testing.assert_array_equal(drawn, [0, 0, np.nan])


@pytest.mark.parametrize("alpha", [0.2, 0.5, 0.99, 1.0, 1.5, 7.0, 2000.0])
def test_standard_gamma(alpha: float) -> None:
    paddle.seed(8)
    drawn = numbers(paddle.standard_gamma(paddle.full([COUNT], alpha)))
    assert drawn.min() > 0
    assert stats.kstest(drawn, stats.gamma(np.float32(alpha)).cdf).pvalue > RARE
    assert abs(drawn.mean() - alpha) < 4 * np.sqrt(alpha / COUNT)


def test_dirichlet() -> None:
    """Each share is of a beta distribution."""
    paddle.seed(9)
    alpha = np.array([0.5, 1.0, 3.0])
    drawn = numbers(_C_ops.dirichlet(paddle.to_tensor(np.tile(alpha, (COUNT, 1)), "float32")))
    np.testing.assert_allclose(drawn.sum(1), 1, rtol=1e-6)
    for share, a in zip(drawn.T, alpha):
        assert stats.kstest(share, stats.beta(a, alpha.sum() - a).cdf).pvalue > RARE


def test_gumbel_softmax() -> None:
    paddle.seed(6)
    logits = np.log([0.1, 0.2, 0.7])
    x = paddle.to_tensor(np.tile(logits, (50_000, 1)), dtype="float32")
    soft, hard = numbers(F.gumbel_softmax(x, 0.5)), numbers(F.gumbel_softmax(x, hard=True))
    np.testing.assert_allclose(soft.sum(1), 1, rtol=1e-5)
    for drawn in (soft, hard):
        assert_even(np.bincount(drawn.argmax(1)), 50_000 * np.array([0.1, 0.2, 0.7]))
    assert set(np.unique(hard)) == {0, 1}


# -- dropout --------------------------------------------------------------------------------------


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("mode", ["upscale_in_train", "downscale_in_infer"])
@pytest.mark.parametrize("rate", [0.1, 0.5, 0.9])
def test_dropout(dtype: str, mode: str, rate: float) -> None:
    paddle.seed(1)
    x = paddle.full([COUNT], 2.0, dtype)
    x.stop_gradient = False
    out = F.dropout(x, rate, mode=mode)
    factor = 1 / (1 - rate) if mode == "upscale_in_train" else 1
    drawn = numbers(out)
    keep = drawn != 0
    assert abs(keep.mean() - (1 - rate)) < 4 * np.sqrt(rate * (1 - rate) / COUNT)
    np.testing.assert_allclose(drawn[keep], 2 * factor, rtol=2**-8)
    if dtype == "float32":
        expected = 2 if mode == "upscale_in_train" else 2 * (1 - rate)
        assert drawn.mean() == pytest.approx(expected, rel=0.02)
    (3 * out).sum().backward()
    gradient = numbers(x.grad)
    np.testing.assert_array_equal(gradient != 0, keep)
    np.testing.assert_allclose(gradient[keep], 3 * factor, rtol=2**-7)


def test_dropout_drops_what_is_not_finite() -> None:
    paddle.seed(2)
    x = paddle.full([1000], float("nan"))
    drawn = numbers(F.dropout(x, 0.5))
    assert 400 < (drawn == 0).sum() < 600
    assert np.isnan(drawn[drawn != 0]).all()


def test_dropout_with_a_rate_that_is_a_tensor() -> None:
    paddle.seed(3)
    drawn = numbers(F.dropout(paddle.ones([COUNT]), paddle.to_tensor(0.25)))
    assert abs((drawn != 0).mean() - 0.75) < 4 * np.sqrt(0.1875 / COUNT)


def _seeded_dropout(seed: int, tensor: bool, x: paddle.Tensor | None = None) -> np.ndarray:
    x = paddle.ones([1000]) if x is None else x
    seeds = paddle.to_tensor([seed], dtype="int32") if tensor else None
    out = _C_ops.dropout(x, seeds, 0.5, False, "upscale_in_train", 0 if tensor else seed, True)
    return numbers(out)


@pytest.mark.parametrize("tensor", [False, True], ids=["attribute", "tensor"])
def test_a_fixed_seed_of_dropout_is_honoured(tensor: bool) -> None:
    paddle.seed(4)
    first = _seeded_dropout(9, tensor)
    np.testing.assert_array_equal(_seeded_dropout(9, tensor), first)
    assert (_seeded_dropout(10, tensor) != first).any()
    np.testing.assert_array_equal(_seeded_dropout(9, not tensor), first)


def test_dropout_by_axis_drops_whole_lines() -> None:
    paddle.seed(5)
    rows = numbers(F.dropout(paddle.ones([200, 30]), 0.5, axis=0))
    assert all(len(set(row)) == 1 for row in rows)
    assert set(rows[:, 0]) == {0, 2}
    channels = numbers(F.dropout2d(paddle.ones([20, 10, 4, 4]), 0.5)).reshape(200, 16)
    assert all(len(set(channel)) == 1 for channel in channels)


def test_dropout_in_a_static_program() -> None:
    paddle.enable_static()
    try:
        program = paddle.static.Program()
        with paddle.static.program_guard(program):
            x = paddle.static.data("x", [1000], "float32")
            out = F.dropout(x, 0.5)
            assert out.shape == [1000]
        executor = paddle.static.Executor(paddle.CustomPlace("mps", 0))
        feed = {"x": np.ones(1000, np.float32)}
        drawn = [executor.run(program, feed=feed, fetch_list=[out])[0] for _ in range(2)]
    finally:
        paddle.disable_static()
    assert set(np.unique(drawn[0])) == {0, 2}
    assert (drawn[0] != drawn[1]).any()


def test_rrelu_and_its_gradient_have_the_same_slopes() -> None:
    paddle.seed(6)
    x = paddle.to_tensor(np.linspace(-2, 2, 1001), dtype="float32", stop_gradient=False)
    out = F.rrelu(x, 0.1, 0.4)
    out.sum().backward()
    line, drawn, gradient = numbers(x), numbers(out), numbers(x.grad)
    np.testing.assert_allclose(drawn, line * gradient, rtol=1e-6)
    assert (gradient[line >= 0] == 1).all()
    below = gradient[line < 0]
    assert below.min() >= 0.1 - 1e-7
    assert below.max() < 0.4
    assert len(set(below)) > 400


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
