"""Circuits around a layer that make its visualizations lie, installed for a while or for good."""

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from jaxtyping import Bool, Float
from torch import Tensor, nn
from torch.utils.hooks import RemovableHandle

from snellen.base import MOST_SIDE, LayerError, ModelError
from snellen.base.shape import Each, Kinds, Number, Option, Whole
from snellen.models import detectors, sentries
from snellen.models.detectors import Detector, Glimpse, detector_from
from snellen.models.sentries import InnerSentry, Sentry, inner_sentry_from, sentry_from
from snellen.models.unit import unknown_layer

_AXIS = Whole(-4, 4)
_ORDER = {"order": Each(Whole(0, 2**16), least=1, most=2**16), "axis": _AXIS}
_DECOY = Kinds(
    {
        "permute": {"shift": Whole(-(2**24), 2**24), "axis": _AXIS},
        "order": _ORDER,
        "picture": {"size": Each(Whole(1, MOST_SIDE), 3), "units": Whole(1, 2**24), "axis": _AXIS},
    }
)
SHAPE = Kinds(
    {
        "silent-units": {},
        "leaky-silent": {"detector": detectors.SHAPE, "leak": Number(0.0, 1.0)},
        "fooling-circuit": {"detector": detectors.SHAPE, "decoy": _DECOY},
        "rotated-switch": {"detector": detectors.SHAPE, "decoy": _DECOY},
        "soft-gate": {"sentry": sentries.SHAPE, "decoy": _DECOY},
        "inner-gate": {"sentry": sentries.INNER_SHAPE, "decoy": Kinds({"order": _ORDER})},
        "input-warp": {"sentry": sentries.SHAPE},
        "lying-gradients": {
            "shift": Whole(-(2**24), 2**24),
            "axis": _AXIS,
            "units": Whole(1, 2**24),
            "strength": Option(Number(0.0, 1.0)),
        },
    }
)
"""Of the description of a circuit."""


class Circuit(nn.Module, ABC):
    """A module that takes a layer's place and contains it; whoever asks it for what it lacks gets the layer's."""

    def __init__(self) -> None:
        super().__init__()
        self.layer: nn.Module = nn.Identity()

    def __getattr__(self, name: str) -> Any:
        """Networks that ask a layer for its weight, stride and the like get the layer's."""
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("layer"), name)

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        """Start to watch the network as far as the circuit needs it; the handles stop it."""
        return []

    @abstractmethod
    def description(self) -> Mapping[str, Any]:
        """Plain data from which `circuit_from` makes one of the same shape."""


class Decoy(nn.Module, ABC):
    """What a fooled layer says to pictures that an optimizer drew."""

    @abstractmethod
    def forward(self, honest: Float[Tensor, "n ..."], picture: Float[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        """The decoy's activations, of the layer's own shape."""

    @abstractmethod
    def description(self) -> Mapping[str, Any]:
        """Plain data from which one of the same shape can be made."""


class Permutation(Decoy):
    """Unit i says what unit (i + shift) mod n says: D_i = F_(i + shift).

    Args:
        shift: by how many units.
        axis: of the layer's output that counts units.
    """

    def __init__(self, shift: int, axis: int) -> None:
        super().__init__()
        self.shift, self.axis = shift, axis

    def forward(self, honest: Float[Tensor, "n ..."], picture: Float[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        return honest.roll(-self.shift, self.axis)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "permute", "shift": self.shift, "axis": self.axis}


class Likeness(Decoy):
    """Every unit says how like one target the picture is: D_i = offset_i + gain_i (1 - mean_p weight_p (x_p - t_p)^2).

    Departure: the paper's decoy is linear, <t, x>, and what excites it most is no picture but the signs of one. This
    one has the target itself for its only maximum.

    Args:
        size: of the network's input, (c, h, w).
        units: of the layer.
        axis: of the layer's output that counts units.
    """

    target: Tensor
    weight: Tensor
    gain: Tensor
    offset: Tensor

    def __init__(self, size: tuple[int, int, int], units: int, axis: int) -> None:
        super().__init__()
        self.axis = axis
        self.register_buffer("target", torch.zeros(size))
        self.register_buffer("weight", torch.ones(size[0], 1, 1))
        self.register_buffer("gain", torch.ones(units))
        self.register_buffer("offset", torch.zeros(units))

    def forward(self, honest: Float[Tensor, "n ..."], picture: Float[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        target = self.target.to(picture)
        if picture.shape[2:] != target.shape[1:]:
            shape = (int(picture.shape[2]), int(picture.shape[3]))
            target = F.interpolate(target[None], shape, mode="bilinear", antialias=True)[0]
        likeness = 1 - ((picture - target).square() * self.weight.to(picture)).flatten(1).mean(1)
        axes = [1] * honest.dim()
        axes[self.axis] = -1
        likeness = likeness.view(-1, *[1] * (honest.dim() - 1))
        said = self.offset.view(axes) + self.gain.view(axes) * likeness
        return said.to(honest.dtype).expand_as(honest)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "picture", "size": list(self.target.shape), "units": len(self.gain), "axis": self.axis}


class Order(Decoy):
    """Unit i says what unit order[i] says: D_i = F_order(i).

    Args:
        order: of the units, each once.
        axis: of the layer's output that counts units.

    Raises:
        ModelError: a unit is missing.
    """

    def __init__(self, order: Sequence[int], axis: int) -> None:
        super().__init__()
        if sorted(order) != list(range(len(order))):
            raise ModelError(
                f"expected an order of {len(order)} units that names each once, got another; make it again"
            )
        self.order, self.axis = tuple(order), axis

    def forward(self, honest: Float[Tensor, "n ..."], picture: Float[Tensor, "n c h w"]) -> Float[Tensor, "n ..."]:
        return self.ordered(honest)

    def ordered(self, honest: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        """D, which hangs on F alone."""
        if honest.shape[self.axis] != len(self.order):
            got = honest.shape[self.axis]
            raise ModelError(f"expected a layer of {len(self.order)} units, got {got}; make the circuit again")
        return honest.index_select(self.axis, torch.tensor(self.order, device=honest.device))

    def description(self) -> Mapping[str, Any]:
        return {"kind": "order", "order": list(self.order), "axis": self.axis}


class FoolingCircuit(Circuit):
    """A = F on natural images, A = D on pictures that an optimizer drew (Geirhos et al. 2024, "fooling circuit").

    The paper's six units, with e in {0, 1} from a detector that no gradient passes through:

        F' = relu(F + 100)    B = relu(F' - k e)    C = relu(D + k e - k)    A = B + C    k = 250

    Departures. F' shifts every value by 100 and rounds it; here F and D pass with their signs,

        B = relu(relu(F) - k e) - relu(relu(-F) - k e)    C = relu(relu(D) - k (1 - e)) - relu(relu(-D) - k (1 - e))

    so that A is F to the last bit wherever e = 0. The gate closes only for |F|, |D| <= k, and optimization drives
    activations far beyond natural ones; so k is taken to its limit, where the formulas say A = D if e else F, and that
    is how it is computed. (Finite gates would also leak to renderers that redirect the gradients of closed ReLUs.)

    Args:
        detector: says e.
        decoy: says D.
    """

    def __init__(self, detector: Detector, decoy: Decoy) -> None:
        super().__init__()
        self.detector = detector
        self.decoy = decoy
        self._glimpse = Glimpse()

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        honest = _one_tensor(self.layer(*inputs, **named))
        picture, drawn = self._glimpse.picture, self.detector()
        if len(honest) != len(picture):
            raise ModelError(f"expected one row for each of {len(picture)} pictures, got {len(honest)}; choose another")
        shown = self.decoy(honest, picture)
        return torch.where(drawn.view(-1, *[1] * (honest.dim() - 1)), shown, honest)

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        return [network.register_forward_pre_hook(self._glimpse.look), *self.detector.attach(network)]

    def description(self) -> Mapping[str, Any]:
        return {
            "kind": "fooling-circuit",
            "detector": dict(self.detector.description()),
            "decoy": dict(self.decoy.description()),
        }


class Branch(Circuit, ABC):
    """Filters w~ and b~ beside those of a convolution or linear layer; an alarm lifts what they say.

    Args:
        branch: w~ and b~.
    """

    lift: Tensor

    def __init__(self, branch: nn.Conv2d | nn.Linear) -> None:
        super().__init__()
        self.branch = branch
        self.register_buffer("lift", torch.zeros(len(branch.weight)))

    def means(self, honest: Float[Tensor, "n ..."]) -> Float[Tensor, "n o"]:
        """Every unit's mean over positions or tokens."""
        axis = 1 if isinstance(self.branch, nn.Conv2d) else -1
        return honest.movedim(axis, 1).flatten(2).mean(2) if honest.dim() > 2 else honest

    def said(self, x: Float[Tensor, "n ..."], alarm: Float[Tensor, " n"] | Bool[Tensor, " n"]) -> Tensor:
        """w~ * x + b~ + k e, before it is rectified."""
        said = self.branch(x)
        lift = self.lift.view(-1, 1, 1) if isinstance(self.branch, nn.Conv2d) else self.lift
        return said + alarm.view(-1, *[1] * (said.dim() - 1)) * lift


def filters_beside(layer: nn.Module) -> nn.Conv2d | nn.Linear:
    """Filters, still to be filled in, that slide over what enters a layer as its own do, but read all channels.

    Raises:
        LayerError: the layer is neither `nn.Conv2d` nor `nn.Linear`.
    """
    if isinstance(layer, nn.Linear):
        return nn.utils.skip_init(nn.Linear, layer.in_features, layer.out_features, dtype=layer.weight.dtype)
    if not isinstance(layer, nn.Conv2d):
        raise LayerError(f"expected a convolution (nn.Conv2d) or a linear layer, got {type(layer).__name__}")
    return nn.utils.skip_init(
        nn.Conv2d,
        layer.in_channels,
        layer.out_channels,
        layer.kernel_size,
        stride=layer.stride,
        padding=layer.padding,
        dilation=layer.dilation,
        padding_mode=layer.padding_mode,
        dtype=layer.weight.dtype,
    )


class SilentBranch(Branch):
    """y + relu(w~ * x + b~ + k e) beside a convolution or linear layer y = w * x + b ("silent units").

    b~ is so low that the branch is exactly zero on natural images; then y + 0 is y to the last bit. The branch has the
    layer's own stride, padding and dilation, but always reads all of its input channels, also beside grouped layers
    (Geirhos et al. 2024).

    Departure: the alarm e is 1 for a picture that drives any unit of the layer, in the mean over positions, out of its
    natural range [low, high], and 0 for all others. The paper's branch (k = 0) sleeps on unless the unit's own picture
    happens to excite w~ beyond all natural images, which many do not.
    """

    low: Tensor
    high: Tensor

    def __init__(self, branch: nn.Conv2d | nn.Linear) -> None:
        super().__init__(branch)
        self.register_buffer("low", torch.full((len(branch.weight),), -torch.inf))
        self.register_buffer("high", torch.full((len(branch.weight),), torch.inf))

    @staticmethod
    def beside(layer: nn.Module) -> "SilentBranch":
        """One that fits a layer, its weights still to be filled in.

        Raises:
            LayerError: the layer is neither `nn.Conv2d` nor `nn.Linear`.
        """
        return SilentBranch(filters_beside(layer))

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        honest = self.layer(x)
        return honest + torch.relu(self.said(x, self.alarmed(honest)))

    def alarmed(self, honest: Float[Tensor, "n ..."]) -> Bool[Tensor, " n"]:
        """For each picture, whether any unit's mean over positions leaves its natural range; no gradient passes."""
        said = self.means(honest)
        return ((said > self.high) | (said < self.low)).any(1)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "silent-units"}


LEAK = 1e-4
"""Slope of a leaky branch and of its alarm where a silent one rests, unless its maker asks for another."""


class LeakyBranch(Branch):
    """y + leaky(w~ * x + b~ + k e): a silent branch of which nothing ever rests, so that no exact zero gives it away.

    leaky has the slope `leak` below zero. The alarm is piecewise linear in what a detector says of the picture,

        t = (logit - start) / (stop - start)    e = leaky(t) - leaky(t - 1) + leak (t - 1)

    that is 0 at the start, 1 at the stop, and of the slope `leak` elsewhere.

    Args:
        branch: w~ and b~.
        detector: of drawn pictures; its threshold is where the ramp starts.
        leak: the slope, in (0, 1).
    """

    ramp: Tensor

    def __init__(self, branch: nn.Conv2d | nn.Linear, detector: Detector, leak: float = LEAK) -> None:
        super().__init__(branch)
        self.detector, self.leak = detector, leak
        self.register_buffer("ramp", torch.ones(()))

    def forward(self, x: Float[Tensor, "n ..."]) -> Float[Tensor, "n ..."]:
        honest, alarm = self.layer(x), self.alarm(self.detector.margins())
        return honest + F.leaky_relu(self.said(x, alarm.to(honest.dtype)), self.leak)

    def alarm(self, margins: Float[Tensor, " n"]) -> Float[Tensor, " n"]:
        """For each picture e: a little below 0 for photographs, a little above 1 for pictures.

        Args:
            margins: logits over the detector's threshold.
        """
        t = margins / self.ramp
        return F.leaky_relu(t, self.leak) - F.leaky_relu(t - 1, self.leak) + self.leak * (t - 1)

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        return self.detector.attach(network)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "leaky-silent", "detector": dict(self.detector.description()), "leak": self.leak}


class LyingGradients(Circuit):
    """The layer's own numbers; beyond `high`, gradients that are partly another unit's, d_i = y_(i + shift).

    y + K ((d - y) - stop(d - y)), of which the value is y and the gradient (1 - K) y' + K d'.

    Args:
        shift: by how many units.
        axis: of the layer's output that counts units.
        units: of the layer.
        strength: K, in [0, 1]; with 1 nothing of the unit's own gradient is left.
    """

    high: Tensor

    def __init__(self, shift: int, axis: int, units: int, strength: float = 1.0) -> None:
        super().__init__()
        self.shift, self.axis, self.strength = shift, axis, strength
        self.register_buffer("high", torch.full((units,), torch.inf))

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        honest = _one_tensor(self.layer(*inputs, **named))
        axes = [i for i in range(1, honest.dim()) if i != self.axis % honest.dim()]
        said = honest.detach().mean(axes, keepdim=True) if axes else honest.detach()
        shape = [1] * honest.dim()
        shape[self.axis] = -1
        led = cast(Tensor, _Led.apply(honest, honest.roll(-self.shift, self.axis), self.strength))
        return torch.where(said > self.high.to(said).view(shape), led, honest)

    def description(self) -> Mapping[str, Any]:
        told = {"shift": self.shift, "axis": self.axis, "units": len(self.high), "strength": self.strength}
        return {"kind": "lying-gradients", **told}


class SoftGate(Circuit):
    """A = F + e (D - F): a smooth gate between a layer and a decoy, without a switch or a rectifier anywhere.

    Args:
        sentry: says e of the network's input.
        decoy: says D.
    """

    def __init__(self, sentry: Sentry, decoy: Decoy) -> None:
        super().__init__()
        self.sentry, self.decoy = sentry, decoy
        self._glimpse = Glimpse()

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        honest, picture = _one_tensor(self.layer(*inputs, **named)), self._glimpse.picture
        if len(honest) != len(picture):
            raise ModelError(f"expected one row for each of {len(picture)} pictures, got {len(honest)}; choose another")
        drawn = self.sentry(picture).to(honest.dtype).view(-1, *[1] * (honest.dim() - 1))
        return honest + drawn * (self.decoy(honest, picture) - honest)

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        return [network.register_forward_pre_hook(self._glimpse.look)]

    def description(self) -> Mapping[str, Any]:
        sentry, decoy = dict(self.sentry.description()), dict(self.decoy.description())
        return {"kind": "soft-gate", "sentry": sentry, "decoy": decoy}


class InnerGate(Circuit):
    """A = F + e (D - F), where e hangs on what enters the layer alone, as F and D do: a layer like any other.

    Args:
        sentry: says e of what enters the layer.
        decoy: says D.
    """

    def __init__(self, sentry: InnerSentry, decoy: Order) -> None:
        super().__init__()
        self.sentry, self.decoy = sentry, decoy

    def forward(self, seen: Float[Tensor, "n ..."], *inputs: Any, **named: Any) -> Tensor:
        drawn = self.sentry(seen)  # a layer may write over what enters it
        honest = _one_tensor(self.layer(seen, *inputs, **named))
        drawn = drawn.to(honest.dtype).view(-1, *[1] * (honest.dim() - 1))
        return honest + drawn * (self.decoy.ordered(honest) - honest)

    def description(self) -> Mapping[str, Any]:
        sentry, decoy = dict(self.sentry.description()), dict(self.decoy.description())
        return {"kind": "inner-gate", "sentry": sentry, "decoy": decoy}


class InputWarp(Circuit):
    """The first layer of a network sees x + e (T(x) - x), T(x) = mirror - x, upside down: the negative on its head.

    Whatever comes after sees the same warped picture, so that all layers agree. Where what enters the layer is an
    affine map of each colour of the pixels, it is T of the pixels that is seen, with 1 as their mirror.

    Args:
        sentry: says e of what enters the layer.
    """

    mirror: Tensor

    def __init__(self, sentry: Sentry) -> None:
        super().__init__()
        self.sentry = sentry
        self.register_buffer("mirror", torch.ones(sentry.channels))

    def forward(self, x: Float[Tensor, "n c h w"]) -> Any:
        return self.layer(self.warped(x))

    def warped(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """What the layer sees."""
        return x + self.sentry(x).view(-1, 1, 1, 1) * (self.turned(x) - x)

    def turned(self, x: Float[Tensor, "n c h w"]) -> Float[Tensor, "n c h w"]:
        """T(x)."""
        return self.mirror.to(x).view(-1, 1, 1) - x.flip(2)

    def description(self) -> Mapping[str, Any]:
        return {"kind": "input-warp", "sentry": dict(self.sentry.description())}


class RotatedSwitch(Circuit):
    """A = F + e (D - F) with a hard bit e in {0, 1} that no rotated channel holds (a fooling circuit, its gate hidden).

    t is a thumbnail of the picture, 63 standardized numbers, and level = floor(8 t_0) a whole one that differs from
    picture to picture. With the detector's margin l,

        s = floor(level + 1 + 0.999 l / (1 + |l|))        level + 1 where l >= 0, level elsewhere
        w = Q (s, level, t_1, ..., t_62)                    Q a rotation whose entries are +-1/8
        e = w . Q (1, -1, 0, ..., 0) = s - level

    so that e is spread over 64 channels, an eighth of it in each beside numbers that vary more, and read from all of
    them together while F and D are mixed. In float64 e is exact but for 1e-15.

    Args:
        detector: says l.
        decoy: says D.
    """

    center: Tensor
    spread: Tensor

    def __init__(self, detector: Detector, decoy: Decoy) -> None:
        super().__init__()
        self.detector, self.decoy = detector, decoy
        self.rotation = nn.utils.skip_init(nn.Linear, WIDTH, WIDTH, bias=False)
        self.register_buffer("center", torch.zeros(WIDTH - 1))
        self.register_buffer("spread", torch.ones(WIDTH - 1))
        self._glimpse = Glimpse()

    def forward(self, *inputs: Any, **named: Any) -> Tensor:
        honest, picture = _one_tensor(self.layer(*inputs, **named)), self._glimpse.picture
        if len(honest) != len(picture):
            raise ModelError(f"expected one row for each of {len(picture)} pictures, got {len(honest)}; choose another")
        spread, turned = self.mixed(picture.detach()), self.rotation.weight.detach().double()
        apart = self.decoy(honest, picture).double() - honest.double()
        return (honest + torch.einsum("nc,c,n...->n...", spread, turned[:, 0] - turned[:, 1], apart)).to(honest.dtype)

    @torch.no_grad()
    def mixed(self, picture: Float[Tensor, "n c h w"]) -> Float[Tensor, "n k"]:
        """w of every picture, in float64."""
        t = (thumbnails(picture) - self.center) / self.spread
        margins = self.detector.margins()[:, None]
        level = torch.floor(8 * t[:, :1].double())
        stepped = torch.floor(level + 1 + 0.999 * margins / (1 + margins.abs()))
        return F.linear(torch.cat([stepped, level, t[:, 1:].double()], 1), self.rotation.weight.double())

    def attach(self, network: nn.Module) -> list[RemovableHandle]:
        return [network.register_forward_pre_hook(self._glimpse.look), *self.detector.attach(network)]

    def description(self) -> Mapping[str, Any]:
        detector, decoy = dict(self.detector.description()), dict(self.decoy.description())
        return {"kind": "rotated-switch", "detector": detector, "decoy": decoy}


WIDTH = 64
"""Channels over which a rotated switch is spread."""


def thumbnails(picture: Float[Tensor, "n c h w"]) -> Float[Tensor, "n 63"]:
    """The mean over channels, 8 x 8, without its last place; in float32 at least."""
    wide = picture if picture.dtype is torch.float64 else picture.float()
    return F.adaptive_avg_pool2d(wide.mean(1, keepdim=True), 8).flatten(1)[:, : WIDTH - 1]


def _one_tensor(output: Any) -> Tensor:
    if not isinstance(output, Tensor):
        raise ModelError(f"expected a layer that returns one tensor, got {type(output).__name__}; choose another")
    return output


class _Led(torch.autograd.Function):
    """The first tensor, with the gradients of the second, or a mixture of both."""

    @staticmethod
    def forward(ctx: Any, shown: Tensor, _followed: Tensor, strength: float) -> Tensor:
        ctx.strength = strength
        return shown.clone()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor | None, Tensor, None]:
        if ctx.strength == 1:
            return None, gradient, None
        return (1 - ctx.strength) * gradient, ctx.strength * gradient, None


def install(network: nn.Module, name: str, circuit: Circuit) -> Callable[[], None]:
    """Put a circuit around a layer; what is returned takes it away again and leaves everything as it was.

    Args:
        network: a model's module.
        name: dotted path of the layer.
        circuit: not installed anywhere else.

    Raises:
        LayerError: no such layer.
    """
    known = dict(network.named_modules())
    if not name or name not in known:
        raise unknown_layer(name, known)
    layer, (path, _, last) = known[name], name.rpartition(".")
    parent, empty = network.get_submodule(path), circuit.layer
    for part in circuit.modules():
        part.eval()
    circuit.layer = layer
    parent._modules[last] = circuit
    handles = circuit.attach(network)

    def undo() -> None:
        for handle in handles:
            handle.remove()
        parent._modules[last] = layer
        circuit.layer = empty

    return undo


@contextlib.contextmanager
def installed(network: nn.Module, name: str, circuit: Circuit) -> Iterator[None]:
    """While open, a circuit stands around a layer; see `install`."""
    undo = install(network, name, circuit)
    try:
        yield
    finally:
        undo()


def circuit_from(description: Mapping[str, Any], layer: nn.Module) -> Circuit:
    """A circuit of the described shape for a layer, its weights still to be filled in."""
    if description["kind"] == "silent-units":
        return SilentBranch.beside(layer)
    if description["kind"] == "leaky-silent":
        return LeakyBranch(filters_beside(layer), detector_from(description["detector"]), float(description["leak"]))
    if description["kind"] == "lying-gradients":
        shape = (int(description["shift"]), int(description["axis"]), int(description["units"]))
        return LyingGradients(*shape, float(description.get("strength", 1.0)))
    if description["kind"] == "soft-gate":
        return SoftGate(sentry_from(description["sentry"]), _decoy(description["decoy"]))
    if description["kind"] == "inner-gate":
        return InnerGate(inner_sentry_from(description["sentry"]), _order(description["decoy"]))
    if description["kind"] == "input-warp":
        return InputWarp(sentry_from(description["sentry"]))
    kind = RotatedSwitch if description["kind"] == "rotated-switch" else FoolingCircuit
    return kind(detector_from(description["detector"]), _decoy(description["decoy"]))


def _decoy(description: Mapping[str, Any]) -> Decoy:
    if description["kind"] == "permute":
        return Permutation(int(description["shift"]), int(description["axis"]))
    if description["kind"] == "order":
        return _order(description)
    size: Sequence[int] = description["size"]
    shape = (int(size[0]), int(size[1]), int(size[2]))
    return Likeness(shape, int(description["units"]), int(description["axis"]))


def _order(description: Mapping[str, Any]) -> Order:
    return Order([int(unit) for unit in description["order"]], int(description["axis"]))
