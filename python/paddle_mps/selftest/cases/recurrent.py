"""rnn: cells, layers, directions, sequences of different length, and back through all of them."""

import paddle

from ..tolerance import rounded_once
from .case import FLOATS, Case, Gradient

_GATES = {"LSTM": 4, "GRU": 3, "RNN_TANH": 1, "RNN_RELU": 1}


def _shapes(mode, layers, directions, time, batch, features, hidden):
    """x, the states before, and Paddle's list of weights: all matrices, then all biases."""
    state = (layers * directions, batch, hidden)
    rows, matrices, biases = _GATES[mode] * hidden, [], []
    for layer in range(layers):
        for _ in range(directions):
            inputs = features if layer == 0 else directions * hidden
            matrices += [(rows, inputs), (rows, hidden)]
            biases += [(rows,), (rows,)]
    states = (state, state) if mode == "LSTM" else (state,)
    return ((time, batch, features), *states, *matrices, *biases)


def _call(mode, layers, directions, lengths=None):
    count = 2 if mode == "LSTM" else 1

    def call(x, *rest):
        states, weights = list(rest[:count]), list(rest[count:])
        running = None
        if lengths:
            running = paddle.to_tensor(lengths, dtype="int32", place=x.place)
        marks = paddle.to_tensor([0], dtype="uint8", place=x.place)
        hidden, features = states[0].shape[-1], x.shape[-1]
        out, _, last = paddle._C_ops.rnn(
            x, states, weights, running, marks, 0.0, directions == 2, features, hidden, layers,
            mode, 0, False,
        )  # fmt: skip
        return [out, *last]

    return call


CASES = tuple(
    Case(
        kernel="rnn",
        name=name,
        call=_call(mode, layers, directions, lengths),
        shapes=tuple(_shapes(mode, layers, directions, *sizes) for sizes in sizes_of_all),
        dtypes=dtypes,
        domain="unit",
        rule=rounded_once(16, 4),
        layouts=False,
        # Paddle's CPU device has another gradient where sequences run backwards and differ in
        # length, which is not that of its result: test_grads.py asks finite differences.
        gradient=None
        if lengths and directions == 2
        else Gradient(kernel="rnn_grad", rule=rounded_once(64, 16)),
    )
    for name, mode, layers, directions, sizes_of_all, lengths, dtypes in (
        ("", "LSTM", 1, 1, ((1, 2, 3, 4), (5, 3, 4, 6)), None, FLOATS),
        ("gru", "GRU", 1, 1, ((1, 2, 3, 4), (5, 3, 4, 6)), None, FLOATS),
        ("tanh", "RNN_TANH", 1, 1, ((5, 3, 4, 6),), None, FLOATS),
        ("relu", "RNN_RELU", 1, 1, ((3, 2, 4, 3),), None, FLOATS),
        ("lstm_deep", "LSTM", 2, 2, ((4, 2, 3, 5),), None, ("float32", "float16")),
        ("gru_deep", "GRU", 3, 2, ((4, 2, 3, 5),), None, ("float32",)),
        ("lstm_lengths", "LSTM", 2, 2, ((5, 3, 4, 4),), [5, 1, 3], ("float32",)),
        ("gru_lengths", "GRU", 1, 2, ((5, 3, 4, 4),), [2, 5, 4], ("float32",)),
        ("tanh_lengths", "RNN_TANH", 2, 1, ((5, 3, 4, 4),), [4, 5, 1], ("float32",)),
    )
)
