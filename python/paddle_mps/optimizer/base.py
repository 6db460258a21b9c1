"""What the optimisers share: state in 8 bits, by blocks, or in float32."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import paddle
from paddle.optimizer import Optimizer

from .._tensor import run_op, tensor_device
from ..functional import code_books

if TYPE_CHECKING:
    from collections.abc import Mapping

    from paddle import Tensor

BLOCKSIZE = 256
_HISTORY = 100  # gradient norms that percentile clipping looks at
KINDS = ("adam", "lion", "momentum", "rmsprop", "adagrad", "ademamix")
_TWO_STATES = ("adam", "ademamix")
_KEYS = ("state1", "state2", "absmax1", "absmax2")


@dataclass
class ParameterState:
    """The moving averages of one parameter."""

    bits: int
    step: int = 0
    tensors: dict[str, Tensor] = field(default_factory=dict)


class GlobalOptimManager:
    """Settings for single parameters, over those of their optimiser.

    Source:
        `bitsandbytes.optim.GlobalOptimManager`.

    Example:
        >>> import paddle
        >>> from paddle_mps.optimizer import Adam8bit, GlobalOptimManager
        >>> layer = paddle.nn.Linear(100, 100)
        >>> GlobalOptimManager.get_instance().override_config(layer.weight, "optim_bits", 32)
        >>> optimizer = Adam8bit(1e-3, parameters=layer.parameters())
        >>> layer(paddle.ones([1, 100])).sum().backward()
        >>> optimizer.step()
        >>> str(optimizer.state_of(layer.weight).tensors["state1"].dtype)
        'paddle.float32'
    """

    _instance: GlobalOptimManager | None = None

    def __init__(self) -> None:
        """Begin without settings; see `get_instance`."""
        self._overrides: dict[str, dict[str, Any]] = {}

    @classmethod
    def get_instance(cls) -> GlobalOptimManager:
        """Return the one of this process."""
        if cls._instance is None:
            cls._instance = cls()
        return cls._instance

    def override_config(
        self, parameters: Any, key: str | None = None, value: Any = None, **config: Any
    ) -> None:
        """Set a number of an optimiser for one parameter, or for some.

        Args:
            parameters: A parameter or several.
            key: optim_bits, min_8bit_size, lr, betas, eps or weight_decay.
            value: Of that.
            config: More of them.

        Raises:
            ValueError: Another key.
        """
        changes = dict(config) if key is None else {key: value, **config}
        known = ("optim_bits", "min_8bit_size", "lr", "betas", "eps", "weight_decay")
        unknown = sorted(set(changes) - set(known))
        if unknown:
            raise ValueError(
                f"[override_config] bad key: expected one of {', '.join(known)}, got "
                f"{', '.join(unknown)}. Correct it."
            )
        several = [parameters] if isinstance(parameters, paddle.Tensor) else list(parameters)
        for parameter in several:
            self._overrides.setdefault(parameter.name, {}).update(changes)

    def config_of(self, parameter: Tensor) -> dict[str, Any]:
        """Return what was set for a parameter."""
        return self._overrides.get(parameter.name, {})


class BlockOptimizer(Optimizer):  # type: ignore[misc]
    """An optimiser whose state has 8 bits per element and one scale per block of 256, or 32 bits.

    Not to be used itself. `kind` names the update, `optim_bits` is 8 or 32; parameters with fewer
    than `min_8bit_size` elements keep 32.
    """

    def __init__(
        self,
        kind: str,
        learning_rate: Any,
        parameters: Any,
        betas: tuple[float, ...],
        eps: float,
        weight_decay: float,
        optim_bits: int,
        min_8bit_size: int,
        percentile_clipping: int,
        grad_clip: Any,
        alpha: float = 0.0,
        max_unorm: float = 0.0,
        name: str | None = None,
    ) -> None:
        """Check the numbers; state is made at the first step."""
        op = type(self).__name__
        _check(op, betas, eps, weight_decay, optim_bits, percentile_clipping)
        if not max_unorm >= 0:
            raise ValueError(
                f"[{op}] bad max_unorm: expected 0 (any update) or more, got {max_unorm}. Take 1."
            )
        super().__init__(learning_rate, parameters, None, grad_clip, name)
        self.type = kind  # what Paddle calls it
        self._kind, self._betas, self._eps, self._alpha = kind, tuple(betas), eps, alpha
        self._decay, self._bits, self._min_8bit_size = weight_decay, optim_bits, min_8bit_size
        self._percentile, self._max_unorm = percentile_clipping, max_unorm
        self._states: dict[str, ParameterState] = {}
        self._norms: dict[str, list[float]] = {}
        self._loaded: dict[str, Any] = {}

    def state_of(self, parameter: Tensor) -> ParameterState:
        """Return the state of a parameter, made now if there is none."""
        found = self._states.get(parameter.name)
        if found is None:
            found = self._states[parameter.name] = self._new_state(parameter)
        return found

    def _new_state(self, parameter: Tensor) -> ParameterState:
        config = GlobalOptimManager.get_instance().config_of(parameter)
        bits = config.get("optim_bits", self._bits)
        if parameter.size < config.get("min_8bit_size", self._min_8bit_size):
            bits = 32
        state = ParameterState(bits)
        count, device = int(parameter.size), tensor_device(type(self).__name__, parameter)
        place, rows = paddle.CustomPlace("mps", device), [2] if self._kind == "ademamix" else []
        dtype, blocks = ("uint8" if bits == 8 else "float32"), -(-count // BLOCKSIZE)
        for i in range(2 if self._kind in _TWO_STATES else 1):
            own = rows if i == 0 else []
            state.tensors[f"state{i + 1}"] = paddle.zeros([*own, count], dtype).to(place)
            if bits == 8:
                state.tensors[f"absmax{i + 1}"] = paddle.zeros([*own, blocks], "float32").to(place)
        prefix = f"{parameter.name}."
        loaded = {
            key[len(prefix) :]: value
            for key, value in self._loaded.items()
            if key.startswith(prefix)
        }
        if loaded:
            _fill(type(self).__name__, parameter.name, state, loaded)
        return state

    @paddle.no_grad()
    def step(self) -> None:
        """Update every parameter that has a gradient. Synchronises if it clips percentiles."""
        for parameters, rate, decay in self._groups():
            pairs = [(p, p.grad) for p in parameters if not p.stop_gradient and p.grad is not None]
            if self._grad_clip is not None:
                pairs = self._grad_clip(pairs)
            for parameter, gradient in pairs:
                self._update(parameter, gradient, rate, decay)

    def _groups(self) -> Iterable[tuple[list[Tensor], float, float]]:
        rate = float(self.get_lr())
        if not self._parameter_list or not isinstance(self._parameter_list[0], dict):
            yield self._parameter_list, rate, self._decay
            return
        for group in self._param_groups:
            # A group's own rate is in its parameters' attributes: Paddle puts it there.
            decay = group.get("weight_decay")
            yield (
                group["params"],
                rate,
                float(decay) if isinstance(decay, (int, float)) else self._decay,
            )

    def _update(self, parameter: Tensor, gradient: Tensor, rate: float, decay: float) -> None:
        state, config = (
            self.state_of(parameter),
            GlobalOptimManager.get_instance().config_of(parameter),
        )
        state.step += 1
        device = tensor_device(type(self).__name__, parameter)
        signed = code_books.on_device("dynamic", device)
        unsigned = code_books.on_device("dynamic_unsigned", device)
        betas = (*config.get("betas", self._betas), 0.0, 0.0, 0.0)
        own_rate = (
            parameter.optimize_attr.get("learning_rate", 1.0)
            if hasattr(parameter, "optimize_attr")
            else 1.0
        )
        nothing = state.tensors["state1"]
        tensors = [state.tensors.get(key, nothing) for key in _KEYS]
        if not parameter.is_contiguous():
            raise ValueError(
                f"[{type(self).__name__}] {parameter.name} has gaps: expected a dense parameter, "
                f"got strides {parameter.strides}. Make it of a contiguous tensor."
            )
        scale = self._clipping_scale(parameter, gradient, state.step)
        rate = float(config.get("lr", rate)) * own_rate
        eps, decay = float(config.get("eps", self._eps)), float(config.get("weight_decay", decay))
        if self._max_unorm > 0:
            update = self._direction(parameter, gradient, state, betas, eps, decay, scale)
            trust = self._trust(parameter, update)
            # The decay of Adam is a step of its own, which the trust does not shorten.
            rate *= trust
            if self._kind == "adam" and trust > 0:
                decay /= trust
        run_op(
            "mps_optimizer_update",
            parameter.detach(),  # its memory: Paddle lets no op write a leaf that is trained
            *tensors,
            gradient.contiguous(),
            *signed[:2],
            *unsigned[:2],
            signed[2],
            KINDS.index(self._kind),
            state.bits,
            BLOCKSIZE,
            state.step,
            rate,
            *(1.0 - float(beta) for beta in betas[:3]),
            self._alpha,
            eps,
            decay,
            scale,
        )

    def _clipping_scale(self, parameter: Tensor, gradient: Tensor, step: int) -> float:
        """Return what brings the norm down to the percentile of the last ones."""
        if self._percentile >= 100:
            return 1.0
        norm = float(gradient.astype("float32").norm())
        norms = self._norms.setdefault(parameter.name, [0.0] * _HISTORY)
        norms[step % _HISTORY] = norm
        limit = sorted(norms)[self._percentile]
        return limit / norm if norm > limit else 1.0

    def _direction(
        self,
        parameter: Tensor,
        gradient: Tensor,
        state: ParameterState,
        betas: tuple[float, ...],
        eps: float,
        decay: float,
        scale: float,
    ) -> Tensor:
        """Return what the step will subtract, but for the rate."""
        g, t = gradient.astype("float32").flatten() * scale, state.step
        first = state.tensors["state1"]
        if self._kind == "momentum":
            g = g + parameter.detach().astype("float32").flatten() * decay
            return g if t == 1 else first * betas[0] + g
        m = first * betas[0] + g * (1 - betas[0])
        v = state.tensors["state2"] * betas[1] + g * g * (1 - betas[1])
        return m / (1 - betas[0] ** t) / ((v / (1 - betas[1] ** t)).sqrt() + eps)

    def _trust(self, parameter: Tensor, update: Tensor) -> float:
        """Return what brings the norm of an update down to max_unorm of the parameter's."""
        norm = float(update.norm())
        limit = self._max_unorm * float(parameter.detach().astype("float32").norm())
        return limit / norm if norm > limit else 1.0

    def state_dict(self) -> dict[str, Any]:
        """Return state, steps and the rate's scheduler, by the names of parameters."""
        found: dict[str, Any] = dict(self._loaded)
        for name, state in self._states.items():
            found |= {f"{name}.{key}": tensor for key, tensor in state.tensors.items()}
            found[f"{name}.step"] = state.step
        if isinstance(self._learning_rate, paddle.optimizer.lr.LRScheduler):
            found["LR_Scheduler"] = self._learning_rate.state_dict()
        return found

    def set_state_dict(self, state_dict: Mapping[str, Any]) -> None:
        """Take what `state_dict` returned, for parameters of the same names.

        Raises:
            ValueError: A state of another kind of optimiser; at the first step, one that does not
                fit its parameter.
        """
        rest = dict(state_dict)
        scheduler = rest.pop("LR_Scheduler", None)
        foreign = sorted(key for key in rest if key.rpartition(".")[2] not in (*_KEYS, "step"))
        if foreign:
            raise ValueError(
                f"[{type(self).__name__}] not a state of this optimiser: expected NAME.KEY with "
                f"{', '.join(_KEYS)} or step, got {', '.join(foreign[:3])}. Load what its "
                "state_dict() returned."
            )
        if scheduler is not None and isinstance(
            self._learning_rate, paddle.optimizer.lr.LRScheduler
        ):
            self._learning_rate.set_state_dict(scheduler)
        self._loaded = rest
        self._states.clear()


def _form(tensor: Tensor) -> str:
    return f"{str(tensor.dtype).rpartition('.')[2]} {list(tensor.shape)}"


def _fill(op: str, name: str, state: ParameterState, loaded: Mapping[str, Any]) -> None:
    tensors = {
        key: value if isinstance(value, paddle.Tensor) else paddle.to_tensor(value)
        for key, value in loaded.items()
    }
    wanted = {key: _form(tensor) for key, tensor in state.tensors.items()}
    step = tensors.pop("step", paddle.to_tensor(-1))
    got = {key: _form(tensor) for key, tensor in tensors.items()}
    if got != wanted or step.size != 1 or int(step.sum()) < 0:
        raise ValueError(
            f"[{op}] the state of {name} does not fit: expected a step and {wanted}, got "
            f"{loaded.get('step', 'none')} and {got}. Load the state of the same optimiser and "
            "parameters."
        )
    state.step = int(step.sum())
    for key, tensor in state.tensors.items():
        tensor.set_value(tensors[key])


def _check(
    op: str, betas: tuple[float, ...], eps: float, decay: float, bits: int, percentile: int
) -> None:
    if any(not 0 <= beta < 1 for beta in betas):
        raise ValueError(f"[{op}] bad betas: expected numbers from 0 to 1, got {betas}. Take 0.9.")
    if eps < 0 or decay < 0:
        raise ValueError(
            f"[{op}] bad eps or weight_decay: expected 0 or more, got {eps} and {decay}. Take 1e-8."
        )
    if bits not in (8, 32):
        raise ValueError(f"[{op}] bad optim_bits: expected 8 or 32, got {bits}. Take 8.")
    if not 1 <= percentile <= 100:
        raise ValueError(
            f"[{op}] bad percentile_clipping: expected 1 to 100 (none), got {percentile}. Take 5."
        )
