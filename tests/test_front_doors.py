"""Paddle's ways into a network, on mps: paddle.Model, to_static, saved programs, the executor, the
predictor, loaders, files.

A program is lowered without an error where a kernel is missing: Paddle puts the op on the CPU and
copies around it. So each lowered program is printed (FLAGS_print_ir) and read.
"""

from __future__ import annotations

import copy
import pickle
import re
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import paddle
import paddle.nn.functional as F
import pytest
from child import tell
from paddle import nn
from paddle.jit.sot.utils.envs import min_graph_size_guard
from paddle_mps.selftest import harness

SHAPE, CLASSES = (1, 14, 14), 4


class Net(nn.Layer):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2D(1, 6, 3, padding=1)
        self.norm = nn.BatchNorm2D(6)
        self.hidden = nn.Linear(6 * 7 * 7, 16)
        self.layer_norm = nn.LayerNorm(16)
        self.head = nn.Linear(16, CLASSES)

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        return self.head(F.gelu(self.layer_norm(self.hidden(x.flatten(1)))))


def numbers(batch: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Images whose class is where in them it is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, CLASSES, batch)
    images = 0.3 * rng.standard_normal((batch, *SHAPE)).astype("float32")
    for image, label in zip(images, labels):
        image[0, 3 * label : 3 * label + 4] += 1
    return images, labels


def state(net: nn.Layer) -> dict[str, np.ndarray]:
    return {name: value.numpy() for name, value in net.state_dict().items()}


def close(got: np.ndarray, expected: np.ndarray, what: str = "") -> None:
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5, err_msg=what)


# -- what a lowered program says ------------------------------------------------------------------

# What belongs on the host: sizes and other attributes that Paddle keeps as tensors (the predictor
# folds casts of them), and the copies that are the program's result.
_ON_THE_HOST = {("full_int_array", "int64"), ("cast", "int64")}
_ON_THE_HOST |= {(name, dtype) for name in ("full", "fetch") for dtype in ("float32", "int64")}


class Lowered:
    """The instructions of the programs that were lowered in a block."""

    def __init__(self, capfd: pytest.CaptureFixture) -> None:
        self._capfd = capfd

    def __enter__(self) -> Lowered:
        self._flags = harness.flags(print_ir=True)
        self._flags.__enter__()
        return self

    def __exit__(self, *exception: object) -> None:
        self._flags.__exit__(None, None, None)
        out = self._capfd.readouterr().out
        self.kernels = re.findall(
            r'"[\w.]+\(phi_kernel\)".*?kernel_key:<backend:(\w+)\|.*?dtype:(\w+)>'
            r'.*?kernel_name:"(\w+)"',
            out,
        )

    def assert_on_mps(self, *expected: str, fetches: bool = False) -> None:
        """These kernels are in the programs, and nothing computes on the CPU or copies to it."""
        on_mps = {name for backend, _, name in self.kernels if backend == "mps"}
        assert set(expected) <= on_mps, f"expected {expected}, got {sorted(on_mps)}"
        elsewhere = {(name, dtype) for backend, dtype, name in self.kernels if backend == "CPU"}
        elsewhere = sorted(f"{name} ({dtype})" for name, dtype in elsewhere - _ON_THE_HOST)
        assert not elsewhere, f"placed on the CPU: {elsewhere}"
        allowed = "memcpy_h2d" if fetches else "memcpy_"
        copies = sorted({name for _, _, name in self.kernels if name.startswith(allowed)})
        assert not copies, f"copied to the CPU and back: {copies}"


@pytest.fixture
def lowered(no_fallback: None, capfd: pytest.CaptureFixture) -> Lowered:
    return Lowered(capfd)


FORWARD = ("conv2d", "batch_norm", "relu", "pool2d", "matmul", "layer_norm", "gelu")
BACKWARD = ("conv2d_grad", "batch_norm_grad", "pool2d_grad", "matmul_grad", "layer_norm_grad")


def test_a_missing_kernel_is_seen(lowered: Lowered) -> None:
    """Else the other tests here could not fail: Metal has no determinant, so Paddle's is taken."""

    def function(x: paddle.Tensor) -> paddle.Tensor:
        return paddle.linalg.det(x * 2.0)

    with harness.flags(enable_api_kernel_fallback=True), lowered:
        paddle.jit.to_static(function, full_graph=True)(paddle.eye(3))
    with pytest.raises(AssertionError, match=r"placed on the CPU: \['determinant \(float32\)'"):
        lowered.assert_on_mps("scale")


# -- to_static ------------------------------------------------------------------------------------


def train(net: nn.Layer, forward: Callable, steps: int = 3) -> list[float]:
    optimizer = paddle.optimizer.AdamW(0.01, epsilon=1e-3, parameters=net.parameters())
    losses = []
    for step in range(steps):
        images, labels = numbers(8, step)
        loss = F.cross_entropy(forward(paddle.to_tensor(images)), paddle.to_tensor(labels))
        loss.backward()
        optimizer.step()
        optimizer.clear_grad()
        losses.append(float(loss))
    return losses


@pytest.mark.parametrize("full_graph", [True, False], ids=["ast", "sot"])
def test_to_static_trains_as_eager_mode_does(lowered: Lowered, full_graph: bool) -> None:
    eager, net = Net(), Net()
    net.set_state_dict(eager.state_dict())
    expected = train(eager, eager)
    with lowered:
        losses = train(net, paddle.jit.to_static(net, full_graph=full_graph))
    close(losses, expected)
    for name, value in state(eager).items():
        close(state(net)[name], value, name)
    lowered.assert_on_mps(*FORWARD, *BACKWARD)


class Breaking(Net):
    """Asks for a number in the middle, where SOT has to leave the graph and enter another."""

    def forward(self, x: paddle.Tensor) -> paddle.Tensor:
        x = F.max_pool2d(F.relu(self.norm(self.conv(x))), 2)
        x = F.gelu(self.layer_norm(self.hidden(x.flatten(1))))
        if float(x.abs().mean()) > 1e-6:
            x = paddle.tanh(x) * 2.0
        return self.head(x)


def test_sot_goes_on_after_a_break_of_the_graph(lowered: Lowered) -> None:
    eager, net = Breaking(), Breaking()
    net.set_state_dict(eager.state_dict())
    expected = train(eager, eager)
    with lowered, min_graph_size_guard(0):  # else so short a rest is not worth a graph
        losses = train(net, paddle.jit.to_static(net, full_graph=False))
    close(losses, expected)
    lowered.assert_on_mps(*FORWARD, *BACKWARD, "tanh")


# -- saved programs -------------------------------------------------------------------------------


@pytest.fixture
def saved(no_fallback: None, tmp_path: Path) -> Iterator[tuple[str, np.ndarray, np.ndarray]]:
    """A saved program with trained numbers, images, and its scores."""
    net = Net()
    train(net, net)
    net.eval()
    images, _ = numbers(5, 9)
    path = str(tmp_path / "net")
    paddle.jit.save(net, path, [paddle.static.InputSpec([None, *SHAPE], "float32", "image")])
    return path, images, net(paddle.to_tensor(images)).numpy()


def test_jit_load_computes_on_the_device(saved: tuple, lowered: Lowered) -> None:
    path, images, expected = saved
    with lowered:
        scores = paddle.jit.load(path)(paddle.to_tensor(images))
    assert scores.place.is_custom_place()
    close(scores.numpy(), expected)
    lowered.assert_on_mps("conv2d", "batch_norm", "pool2d", "matmul")


def test_jit_load_can_be_trained_on(saved: tuple, lowered: Lowered) -> None:
    path, _, _ = saved
    net = paddle.jit.load(path)
    net.train()
    with lowered:
        losses = train(net, net, 20)
    assert losses[-1] < 0.7 * losses[0]
    lowered.assert_on_mps("conv2d", "conv2d_grad", "matmul_grad")


@pytest.mark.parametrize("optimised", [True, False])
def test_the_predictor_computes_on_the_device(
    saved: tuple, lowered: Lowered, optimised: bool
) -> None:
    path, images, expected = saved
    config = paddle.inference.Config(f"{path}.json", f"{path}.pdiparams")
    config.enable_custom_device("mps", 0)
    config.switch_ir_optim(optimised)
    with lowered:
        predictor = paddle.inference.create_predictor(config)
        feed = predictor.get_input_handle(predictor.get_input_names()[0])
        fetch = predictor.get_output_handle(predictor.get_output_names()[0])
        for batch in (images, images[:2], images):
            feed.copy_from_cpu(batch)
            predictor.run()
            close(fetch.copy_to_cpu(), expected[: len(batch)])
        (scores,) = predictor.run([paddle.to_tensor(images)])
    assert scores.place.is_custom_place()
    close(scores.numpy(), expected)
    lowered.assert_on_mps("matmul")


# -- static programs ------------------------------------------------------------------------------


@pytest.fixture
def static_mode(no_fallback: None) -> Iterator[None]:
    paddle.enable_static()
    try:
        yield
    finally:
        paddle.disable_static()


def program() -> tuple:
    """Main and start-up program, loss, scores; a training program with its optimiser."""
    main, startup = paddle.static.Program(), paddle.static.Program()
    main.random_seed = startup.random_seed = 5
    with paddle.static.program_guard(main, startup):
        image = paddle.static.data("image", [None, *SHAPE], "float32")
        label = paddle.static.data("label", [None], "int64")
        scores = Net()(image)
        loss = F.cross_entropy(scores, label)
        clip = nn.ClipGradByGlobalNorm(1.0)
        paddle.optimizer.Adam(0.01, epsilon=1e-3, grad_clip=clip).minimize(loss)
    return main, startup, loss, scores


@pytest.mark.usefixtures("static_mode")
def test_the_executor_trains_a_program(lowered: Lowered, tmp_path: Path) -> None:
    main, startup, loss, scores = program()
    places = {"mps": paddle.CustomPlace("mps", 0), "cpu": paddle.CPUPlace()}
    losses: dict[str, list] = {}
    start: dict | None = None
    for name, place in places.items():
        with paddle.static.scope_guard(paddle.static.Scope()), lowered:
            executor = paddle.static.Executor(place)
            executor.run(startup)
            if start is None:
                start = {key: np.array(value) for key, value in main.state_dict().items()}
            for key, value in start.items():
                paddle.static.global_scope().find_var(key).get_tensor().set(value, place)
            losses[name] = []
            for step in range(5):
                images, labels = numbers(8, step)
                (found,) = executor.run(main, {"image": images, "label": labels}, fetch_list=[loss])
                losses[name].append(float(found))
        if name == "mps":
            lowered.assert_on_mps(*FORWARD, *BACKWARD, "adam", fetches=True)
    close(losses["mps"], losses["cpu"])


# -- paddle.Model ---------------------------------------------------------------------------------


class Data(paddle.io.Dataset):
    def __init__(self, count: int, seed: int) -> None:
        super().__init__()
        self.images, self.labels = numbers(count, seed)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, i: int) -> tuple[np.ndarray, np.ndarray]:
        return self.images[i], self.labels[i : i + 1]


class Losses(paddle.callbacks.Callback):
    def __init__(self) -> None:
        super().__init__()
        self.seen: list[float] = []

    def on_train_batch_end(self, step: int, logs: dict | None = None) -> None:
        self.seen.append(float(np.ravel(logs["loss"])[0]))


def test_model_fits_evaluates_and_predicts(no_fallback: None, tmp_path: Path) -> None:
    model = paddle.Model(Net())
    rate = paddle.optimizer.lr.StepDecay(0.01, 8)
    optimizer = paddle.optimizer.Adam(rate, parameters=model.parameters())
    model.prepare(optimizer, nn.CrossEntropyLoss(), paddle.metric.Accuracy(topk=(1, 2)))
    losses = Losses()
    callbacks = [
        losses,
        paddle.callbacks.LRScheduler(by_step=True),
        paddle.callbacks.ModelCheckpoint(save_dir=str(tmp_path / "checkpoints")),
        paddle.callbacks.EarlyStopping("loss", patience=5, save_best_model=False, verbose=0),
    ]
    model.fit(Data(64, 0), Data(16, 1), batch_size=8, epochs=4, verbose=0, callbacks=callbacks)
    assert len(losses.seen) == 32
    assert np.mean(losses.seen[-4:]) < 0.5 * np.mean(losses.seen[:4])
    assert rate() < 0.01 * 0.11**3 * 1.1  # three decays after 8, 16, 24 steps, and one at the end
    assert (tmp_path / "checkpoints" / "final.pdparams").exists()

    found = model.evaluate(Data(32, 2), batch_size=8, verbose=0)
    assert found["acc_top1"] > 0.9
    assert found["acc_top2"] >= found["acc_top1"]
    (scores,) = model.predict(Data(32, 2), batch_size=8, stack_outputs=True, verbose=0)
    share = (scores.argmax(-1) == Data(32, 2).labels).mean()
    assert share == pytest.approx(found["acc_top1"])

    again = paddle.Model(Net())
    again.prepare(paddle.optimizer.Adam(0.01, parameters=again.parameters()), nn.CrossEntropyLoss())
    again.load(str(tmp_path / "checkpoints" / "final"))
    (loaded,) = again.predict(Data(32, 2), batch_size=8, stack_outputs=True, verbose=0)
    np.testing.assert_array_equal(loaded, scores)


WITH_WORKERS = """
import sys
sys.path.insert(0, {tests!r})
import numpy as np, paddle
paddle.set_device("mps")
from test_front_doors import Data, Losses, Net
model = paddle.Model(Net())
optimizer = paddle.optimizer.Adam(0.01, parameters=model.parameters())
model.prepare(optimizer, paddle.nn.CrossEntropyLoss())
losses = Losses()
data = paddle.io.DataLoader(Data(64, 0), batch_size=8, shuffle=True, num_workers=2)
model.fit(data, epochs=3, verbose=0, callbacks=[losses])
told["losses"] = losses.seen
"""


def test_model_fits_with_workers_that_load(mps: None) -> None:
    tests = str(Path(__file__).resolve().parent)
    losses = tell(WITH_WORKERS.format(tests=tests))["losses"]
    assert len(losses) == 24
    assert np.mean(losses[-4:]) < 0.6 * np.mean(losses[:4])


# -- files ----------------------------------------------------------------------------------------


def test_a_checkpoint_goes_on_where_it_was(no_fallback: None, tmp_path: Path) -> None:
    """Parameters, running statistics, moments, powers of betas, schedule, generator, scaler."""
    net = Net()
    rate = paddle.optimizer.lr.CosineAnnealingDecay(0.01, 10)
    optimizer = paddle.optimizer.AdamW(rate, parameters=net.parameters())
    scaler = paddle.amp.GradScaler(init_loss_scaling=512.0)

    def step(net: nn.Layer, optimizer: paddle.optimizer.Optimizer, seed: int) -> float:
        images, labels = numbers(8, seed)
        kept = F.dropout(paddle.to_tensor(images), 0.1)
        loss = F.cross_entropy(net(kept), paddle.to_tensor(labels))
        scaler.scale(loss).backward()
        scaler.step(optimizer)
        scaler.update()
        optimizer.clear_grad()
        optimizer._learning_rate.step()
        return float(loss)

    for seed in range(3):
        step(net, optimizer, seed)
    whole = {
        "net": net.state_dict(),
        "optimizer": optimizer.state_dict(),
        "scaler": scaler.state_dict(),
        "numbers": [paddle.get_rng_state("mps"), 3, {"seen": paddle.arange(3)}],
    }
    del whole["numbers"][0]  # a generator is no tensor: kept by hand
    generator = paddle.get_rng_state("mps")
    paddle.save(whole, str(tmp_path / "all.pdparams"))
    expected = [step(net, optimizer, seed) for seed in range(3, 6)]

    found = paddle.load(str(tmp_path / "all.pdparams"))
    again = Net()
    again.set_state_dict(found["net"])
    rate = paddle.optimizer.lr.CosineAnnealingDecay(0.01, 10)
    loaded = paddle.optimizer.AdamW(rate, parameters=again.parameters())
    names = {new.name: old.name for new, old in zip(again.parameters(), net.parameters())}
    moments = {}
    for key, value in found["optimizer"].items():
        new = next((n for n, o in names.items() if key.startswith(o + "_")), None)
        moments[key if new is None else new + key[len(names[new]) :]] = value
    loaded.set_state_dict(moments)
    scaler.load_state_dict(found["scaler"])
    paddle.set_rng_state(generator, "mps")
    assert [step(again, loaded, seed) for seed in range(3, 6)] == expected
    assert found["numbers"][1]["seen"].tolist() == [0, 1, 2]


@pytest.mark.parametrize("dtype", ["float32", "float16", "bfloat16", "int64", "bool", "uint8"])
def test_tensors_come_back_from_files_and_copies(
    no_fallback: None, tmp_path: Path, dtype: str
) -> None:
    x = harness.tensor(np.arange(12).reshape(3, 4) % 2, dtype)
    expected = harness.values(x).numbers
    paddle.save({"x": x, "view": x[1:, ::2]}, str(tmp_path / "file"))
    loaded = paddle.load(str(tmp_path / "file"))
    with harness.on("cpu"):
        on_cpu = paddle.load(str(tmp_path / "file"))["x"]
    copies = [loaded["x"], copy.deepcopy(x), pickle.loads(pickle.dumps(x)), on_cpu.to("mps")]
    assert on_cpu.place.is_cpu_place()
    for found in copies:
        assert found.place.is_custom_place()
        assert found.dtype == x.dtype
        np.testing.assert_array_equal(harness.values(found).numbers, expected)
    np.testing.assert_array_equal(harness.values(loaded["view"]).numbers, expected[1:, ::2])
