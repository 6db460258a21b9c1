"""The device in ordinary programs: copies, files, views, autograd, loaders, static graphs, exit."""

from __future__ import annotations

import copy
import pickle
import threading
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from paddle_mps.selftest import harness
from paddle_mps.selftest.cases.case import ALL
from paddle_mps.selftest.cases.domains import DOMAINS
from paddle_mps.selftest.harness import on, tensor, values
from paddle_mps.selftest.tolerance import EXACT, Values, assert_close

pytestmark = pytest.mark.usefixtures("mps")


@pytest.fixture(autouse=True)
def device(mps: None) -> None:
    paddle.seed(0)
    with on("mps"):
        yield


def is_on_mps(x: paddle.Tensor) -> bool:
    return x.place.is_custom_place() and x.place.custom_device_type() == "mps"


# -- devices and copies ---------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["mps", "mps:0"])
def test_set_device_decides_where_tensors_and_results_live(name: str) -> None:
    paddle.set_device(name)
    assert paddle.get_device() == "mps:0"
    x = paddle.to_tensor([[1.0, 2.0], [3.0, 4.0]])
    assert is_on_mps(x)
    y = paddle.matmul(x, x) + x.sum()
    assert is_on_mps(y)
    np.testing.assert_array_equal(y.numpy(), [[17.0, 20.0], [25.0, 32.0]])
    paddle.set_device("cpu")
    assert paddle.ones([2]).place.is_cpu_place()


@pytest.mark.parametrize(
    "shape", [(), (1,), (0,), (3, 0, 2), (7,), (2, 3, 5), (1031, 1033)], ids=str
)
@pytest.mark.parametrize("dtype", ALL)
def test_copies_between_cpu_and_mps_keep_every_bit(dtype: str, shape: tuple[int, ...]) -> None:
    numbers = DOMAINS["any"](np.random.default_rng(0), shape, dtype)
    expected = Values(dtype, numbers)
    there = tensor(numbers, dtype)
    assert_close(values(there), expected, EXACT, "numpy()")
    back = there.cpu()
    assert back.place.is_cpu_place()
    assert_close(values(back), expected, EXACT, "cpu()")
    again = back.to("mps")
    assert is_on_mps(again)
    assert_close(values(again), expected, EXACT, "to('mps')")
    twice = again._copy_to(paddle.CustomPlace("mps", 0), True)
    assert twice.data_ptr() != again.data_ptr() or not numbers.size
    assert_close(values(twice), expected, EXACT, "mps to mps")


def test_item_and_printing_read_results_that_are_still_being_computed() -> None:
    x = paddle.ones([512, 512])
    for _ in range(5):
        x = paddle.matmul(x, x) / 512
    assert x[3, 4].item() == 1.0
    assert bool((x == 1.0).all())
    assert "Place(mps:0)" in repr(x[:2, :2])


def test_a_source_may_change_as_soon_as_the_copy_returns() -> None:
    for size in (10, 1 << 20):
        source = np.ones(size, np.float32)
        x = paddle.to_tensor(source)
        on_cpu = paddle.to_tensor(source, place=paddle.CPUPlace())
        y = on_cpu.to("mps")
        source[:] = -1
        on_cpu[:] = -1
        del on_cpu
        assert float(x.sum()) == float(y.sum()) == size


def test_set_value_and_copy_change_a_tensor_in_place() -> None:
    x = paddle.zeros([2, 3])
    address = x.data_ptr()
    x.set_value(np.arange(6, dtype=np.float32).reshape(2, 3))
    np.testing.assert_array_equal(x.numpy(), [[0, 1, 2], [3, 4, 5]])
    x.copy_(paddle.to_tensor([[9.0, 8, 7], [6, 5, 4]], place=paddle.CPUPlace()), True)
    np.testing.assert_array_equal(x.numpy(), [[9, 8, 7], [6, 5, 4]])
    assert x.data_ptr() == address


def test_tensors_of_one_program_do_not_share_memory_by_accident() -> None:
    """Many sizes come and go; each must keep its own numbers."""
    rng = np.random.default_rng(0)
    kept: list[tuple[float, paddle.Tensor]] = []
    for step in range(300):
        kept.append((float(step), paddle.full([int(rng.integers(1, 40_000))], float(step))))
        if len(kept) > 20:
            kept.pop(int(rng.integers(len(kept))))
    for value, x in kept:
        assert float(x.min()) == value == float(x.max())


# -- keeping --------------------------------------------------------------------------------------


def test_a_saved_tensor_comes_back(tmp_path: Path) -> None:
    x = paddle.randn([3, 4])
    paddle.save({"x": x, "n": 3}, str(tmp_path / "x.pdtensor"))
    loaded = paddle.load(str(tmp_path / "x.pdtensor"))
    assert loaded["n"] == 3
    assert is_on_mps(loaded["x"])
    np.testing.assert_array_equal(loaded["x"].numpy(), x.numpy())


def test_a_saved_model_and_optimizer_go_on_as_if_nothing_happened(tmp_path: Path) -> None:
    x = paddle.to_tensor(np.random.default_rng(0).standard_normal((5, 4)).astype("float32"))
    files = str(tmp_path / "net.pdparams"), str(tmp_path / "net.pdopt")

    def train(steps: int, *, resume: bool) -> list[float]:
        with paddle.utils.unique_name.guard():  # state goes by the names of parameters
            net = paddle.nn.Sequential(
                paddle.nn.Linear(4, 8), paddle.nn.ReLU(), paddle.nn.Linear(8, 2)
            )
            optimizer = paddle.optimizer.Momentum(0.1, parameters=net.parameters())
            if resume:
                net.set_state_dict(paddle.load(files[0]))
                optimizer.set_state_dict(paddle.load(files[1]))
            losses = []
            for step in range(steps):
                loss = (net(x) * net(x)).mean()
                loss.backward()
                optimizer.step()
                optimizer.clear_grad()
                losses.append(float(loss))
                if step == 0 and not resume:
                    paddle.save(net.state_dict(), files[0])
                    paddle.save(optimizer.state_dict(), files[1])
            return losses

    expected = train(4, resume=False)
    assert train(3, resume=True) == expected[1:]


@pytest.mark.parametrize("duplicate", [copy.deepcopy, lambda x: pickle.loads(pickle.dumps(x))])
def test_copies_of_python_objects_are_independent_and_on_mps(duplicate) -> None:
    x = paddle.to_tensor([1.0, 2.0, 3.0])
    y = duplicate(x)
    assert is_on_mps(y)
    assert y.data_ptr() != x.data_ptr()
    y.add_(paddle.ones([3]))
    assert x.tolist() == [1.0, 2.0, 3.0]
    assert y.tolist() == [2.0, 3.0, 4.0]


# -- views and autograd ---------------------------------------------------------------------------


def test_views_share_memory_and_see_changes() -> None:
    x = paddle.arange(24, dtype="float32").reshape([4, 6])
    row, column, block, flat = x[1], x[:, 2], x[1:3, ::2], x.reshape([-1])
    assert row.data_ptr() == x.data_ptr() + 6 * 4
    x.add_(paddle.full([4, 6], 100.0))
    np.testing.assert_array_equal(row.numpy(), np.arange(6, 12) + 100)
    np.testing.assert_array_equal(column.numpy(), np.arange(2, 24, 6) + 100)
    np.testing.assert_array_equal(block.numpy(), np.arange(24).reshape(4, 6)[1:3, ::2] + 100)
    assert float(flat[23]) == 123.0
    block.multiply_(paddle.zeros([2, 3]))
    assert x.numpy()[1:3, ::2].sum() == 0
    assert x.numpy()[1:3, 1::2].min() > 100


def test_a_view_outlives_its_base() -> None:
    x = paddle.full([1000, 100], 3.0)
    row = x[7]
    del x
    for _ in range(10):
        paddle.full([1000, 100], 9.0)  # would take the memory if it were free
    assert row.tolist() == [3.0] * 100


def test_changing_what_a_gradient_needs_is_an_error() -> None:
    x = paddle.ones([3])
    x.stop_gradient = False
    y = x * 1.0
    z = y * y
    y.add_(paddle.ones([3]))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_gradients_accumulate_until_cleared() -> None:
    x = paddle.to_tensor([1.0, -2.0, 3.0], stop_gradient=False)
    for expected in (2.0, 4.0):
        (x * 2.0).sum().backward()
        assert x.grad.tolist() == [expected] * 3
    x.clear_grad()
    (x + x + x).sum().backward()
    assert x.grad.tolist() == [3.0] * 3


def test_a_hook_and_a_second_order_gradient_see_the_device() -> None:
    x = paddle.to_tensor([2.0, 3.0], stop_gradient=False)
    seen = []
    x.register_hook(lambda g: seen.append(is_on_mps(g)))
    y = x * x * x
    (first,) = paddle.grad(y.sum(), x, create_graph=True)
    first.sum().backward()
    assert x.grad.tolist() == [12.0, 18.0]
    assert seen and all(seen)


def test_a_small_network_learns_the_same_as_on_the_cpu() -> None:
    rng = np.random.default_rng(0)
    inputs = rng.standard_normal((64, 10)).astype("float32")
    targets = (inputs[:, :3].sum(1, keepdims=True) > 0).astype("float32")

    def losses(device: str) -> list[float]:
        with on(device):
            first = paddle.to_tensor(rng_weights[0], stop_gradient=False)
            second = paddle.to_tensor(rng_weights[1], stop_gradient=False)
            x, y = paddle.to_tensor(inputs), paddle.to_tensor(targets)
            found = []
            for _ in range(40):
                error = F.sigmoid(paddle.matmul(F.relu(paddle.matmul(x, first)), second)) - y
                loss = (error * error).mean()
                loss.backward()
                with paddle.no_grad():
                    first = (first - first.grad * 0.5).detach()
                    second = (second - second.grad * 0.5).detach()
                first.stop_gradient = second.stop_gradient = False
                found.append(float(loss))
            return found

    rng_weights = [rng.standard_normal(s).astype("float32") * 0.5 for s in ((10, 16), (16, 1))]
    ours, theirs = losses("mps"), losses("cpu")
    np.testing.assert_allclose(ours, theirs, rtol=1e-4)
    assert ours[-1] < 0.5 * ours[0]


# -- what falls back is right and visible ---------------------------------------------------------


def test_an_op_without_a_kernel_runs_on_the_cpu_and_says_so() -> None:
    x = np.linspace(0.1, 0.9, 7)
    with harness.Watch() as ran:
        y = paddle.erfinv(paddle.to_tensor(x, dtype="float64"))
    assert is_on_mps(y)
    assert ran.calls[("erfinv", "float64", "cpu")] == 1
    np.testing.assert_array_equal(
        y.numpy(), paddle.erfinv(paddle.to_tensor(x, place="cpu")).numpy()
    )


def test_float64_is_computed_by_the_cpu_in_full_precision() -> None:
    with harness.Watch() as ran:
        y = paddle.to_tensor([1.0], dtype="float64") + paddle.to_tensor([2.0**-50], dtype="float64")
    assert y.dtype == paddle.float64
    assert y.tolist() == [1.0 + 2.0**-50]
    assert ran.calls[("add", "float64", "cpu")] == 1


def test_a_fallback_can_be_made_an_error() -> None:
    x = paddle.ones([2], dtype="float64")
    with harness.flags(enable_api_kernel_fallback=False):
        with pytest.raises(RuntimeError, match="FLAGS_enable_api_kernel_fallback"):
            paddle.erfinv(x)


# -- loaders, threads, streams --------------------------------------------------------------------


class Squares(paddle.io.Dataset):
    def __len__(self) -> int:
        return 37

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.int64]:
        return np.full([3, 5], i, np.float32), np.int64(i * i)


@pytest.mark.parametrize("workers", [0, 2])
def test_a_data_loader_delivers_on_mps(workers: int) -> None:
    loader = paddle.io.DataLoader(Squares(), batch_size=8, num_workers=workers, shuffle=False)
    for _ in range(2):
        seen = []
        for x, y in loader:
            assert is_on_mps(x) and is_on_mps(y)
            np.testing.assert_array_equal((x * x)[:, 0, 0].numpy(), y.numpy().astype("float32"))
            seen += y.tolist()
        assert seen == [i * i for i in range(37)]


def test_threads_compute_at_the_same_time() -> None:
    problems: list[str] = []

    def work(seed: int) -> None:
        try:
            paddle.set_device("mps")
            rng = np.random.default_rng(seed)
            for _ in range(50):
                n = int(rng.integers(2, 60))
                a, b = rng.integers(-4, 5, (2, n, n)).astype("float32")
                got = paddle.matmul(paddle.to_tensor(a), paddle.to_tensor(b)) + float(seed)
                if not np.array_equal(got.numpy(), a @ b + seed):
                    problems.append(f"thread {seed}: wrong product of {n} x {n}")
        except Exception as error:  # a thread's exception would vanish
            problems.append(f"thread {seed}: {error!r}")

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not problems, problems


def test_streams_and_events_order_work() -> None:
    side = paddle.device.Stream("mps")
    x = paddle.ones([256, 256])
    done = paddle.base.core.CustomDeviceEvent("mps", 0)
    y = paddle.matmul(x, x)
    current = paddle.device.current_stream("mps")
    done.record(current.stream_base)
    side.stream_base.wait_event(done)
    side.synchronize()
    paddle.device.synchronize()
    assert done.query()
    assert float(y[0, 0]) == 256.0


# -- static graphs --------------------------------------------------------------------------------


class Net(paddle.nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.first = paddle.nn.Linear(6, 8)
        self.second = paddle.nn.Linear(8, 3)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        return self.second(F.relu(self.first(x)))


def test_to_static_gives_the_same_and_its_gradients_too() -> None:
    net = Net()
    x = paddle.randn([4, 6])
    eager = net(x)
    eager.sum().backward()
    expected = [p.grad.numpy() for p in net.parameters()]
    net.clear_gradients()
    static = paddle.jit.to_static(net, full_graph=True)
    result = static(x)
    result.sum().backward()
    np.testing.assert_allclose(result.numpy(), eager.numpy(), rtol=1e-5, atol=1e-6)
    for p, e in zip(net.parameters(), expected):
        np.testing.assert_allclose(p.grad.numpy(), e, rtol=1e-5, atol=1e-6)


def test_a_saved_program_runs_again(tmp_path: Path) -> None:
    net = Net()
    net.eval()
    x = paddle.randn([4, 6])
    expected = net(x).numpy()
    spec = [paddle.static.InputSpec([None, 6], "float32")]
    paddle.jit.save(net, str(tmp_path / "net"), input_spec=spec)
    loaded = paddle.jit.load(str(tmp_path / "net"))
    np.testing.assert_allclose(loaded(x).numpy(), expected, rtol=1e-5, atol=1e-6)
