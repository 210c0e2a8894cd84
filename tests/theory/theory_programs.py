"""Random programs over tensors: what networks do to values and to the names they go by; an attack on what is proved.

A program is an `nn.Module` whose forward pass runs a list of random statements over a pool of named values: layers,
arithmetic, views, writes into views, lists, hooks, buffers, parametrizations, modules called again. Some statements
nobody can bound, or are not what they look like: for those a refusal is right, a number must hold all the same.
"""

import contextlib
import math
import random
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, fx, nn

from snellen.base import SnellenError
from snellen.theory.proofs import Proof

SHAPE = (2, 4, 4)


@fx.wrap
def relu(x: Tensor) -> Tensor:
    """No ReLU."""
    return 3 * x


class Straight(torch.autograd.Function):
    """Triples, and says that it does nothing."""

    @staticmethod
    def forward(x):
        return 3 * x

    @staticmethod
    def setup_context(ctx, inputs, output):
        pass

    @staticmethod
    def backward(ctx, grad):
        return grad


class Steep(nn.ReLU):
    """A ReLU by its class alone."""

    def forward(self, x: Tensor) -> Tensor:
        return 4 * torch.relu(x)


class Scaled(nn.Module):
    """A parametrization."""

    def forward(self, weight: Tensor) -> Tensor:
        return 3 * weight


Value = Tensor
Statement = Callable[["Program", list[Value]], None]


class Program(nn.Module):
    """Runs its statements over a pool of values (n, c, h, w) of one shape; returns one number an image."""

    def __init__(self) -> None:
        super().__init__()
        self.statements: list[Statement] = []
        self.parts = nn.ModuleDict()
        self.told: list[str] = []
        self.out = nn.Identity()
        self.channel = 0

    def add(self, part: nn.Module) -> str:
        name = f"p{len(self.parts)}"
        self.parts[name] = part
        return name

    def forward(self, x: Tensor) -> Tensor:
        pool = [x.clone()]
        for statement in self.statements:
            statement(self, pool)
        return self.out(pool[-1])[:, self.channel].flatten(1).mean(1)


def program(seed: int) -> Program:
    """A random program of two to nine statements, in float64 and in eval mode."""
    draw = random.Random(seed)
    made = Program()
    state = torch.random.get_rng_state()
    torch.manual_seed(seed)
    try:
        for _ in range(draw.randint(2, 9)):
            maker = draw.choices(MAKERS, weights=[weight for _, weight in MAKERS])[0][0]
            made.told.append(maker.__name__)
            made.statements.append(maker(made, draw))
        made.channel = draw.randrange(SHAPE[0])
    finally:
        torch.random.set_rng_state(state)
    return made.double().eval()


def pick(draw: random.Random) -> Callable[[list[Value]], Value]:
    """A value of the pool; recent ones more often."""
    share = draw.random() ** 2
    return lambda pool: pool[len(pool) - 1 - int(share * len(pool))]


def _conv(made: Program, draw: random.Random) -> Statement:
    side, groups = draw.choice((1, 3)), draw.choice((1, 1, 2))
    dilation = draw.choice((1, 1, 2)) if side == 3 else 1
    mode = (
        draw.choice(("zeros", "zeros", "reflect", "circular", "replicate")) if side == 3 and dilation == 1 else "zeros"
    )
    conv = nn.Conv2d(2, 2, side, padding=side // 2 * dilation, dilation=dilation, groups=groups, padding_mode=mode)
    return _called(made, draw, conv)


def _dense(made: Program, draw: random.Random) -> Statement:
    name, take = made.add(nn.Linear(32, 32)), pick(draw)
    return lambda self, pool: pool.append(self.parts[name](take(pool).flatten(1)).view(-1, *SHAPE))


def _rows(made: Program, draw: random.Random) -> Statement:
    """A linear layer over channels last."""
    name, take = made.add(nn.Linear(2, 2)), pick(draw)
    return lambda self, pool: pool.append(self.parts[name](take(pool).permute(0, 2, 3, 1)).permute(0, 3, 1, 2))


def _called(made: Program, draw: random.Random, part: nn.Module) -> Statement:
    """A module called on a value, hooked or patched or parametrized now and then, called twice now and then."""
    name, take, times = made.add(part), pick(draw), draw.choice((1, 1, 1, 2))
    gain, trick = draw.uniform(2, 9), draw.random()
    if trick < 0.08:
        part.register_forward_hook(lambda _m, _i, out: gain * out)
    elif trick < 0.16:
        part.register_forward_pre_hook(lambda _m, given: (gain * given[0],))
    elif trick < 0.2:
        inner = part.forward
        part.forward = lambda x: gain * inner(x)
    elif trick < 0.24 and isinstance(part, nn.Conv2d):
        nn.utils.parametrize.register_parametrization(part, "weight", Scaled())
    elif trick < 0.28 and isinstance(part, nn.Conv2d):
        part.weight.data *= 0.1
        part.register_forward_pre_hook(lambda m, _given: m.weight.data.clamp_(-1, 1) and None)

    def statement(self: Program, pool: list[Value]) -> None:
        value = take(pool)
        for _ in range(times):
            value = self.parts[name](value)
        pool.append(value)

    return statement


def _activation(made: Program, draw: random.Random) -> Statement:
    part = draw.choice(
        (nn.ReLU, nn.ReLU6, nn.Tanh, nn.Sigmoid, nn.GELU, nn.SiLU, nn.Softplus, nn.Mish, nn.Hardswish, nn.ELU, Steep)
    )()
    special = draw.choice((
        part, part, nn.ReLU(inplace=True), nn.LeakyReLU(draw.uniform(-3, 3)), nn.PReLU(init=draw.uniform(-3, 3)),
        nn.Hardtanh(-draw.random(), draw.random()),
        nn.Softplus(beta=draw.uniform(0.5, 3), threshold=draw.choice((0, 20))),
        nn.ELU(alpha=draw.uniform(0, 4)), nn.SELU(), nn.CELU(alpha=draw.uniform(0.2, 3)), nn.Dropout(),
        nn.Softmax(1), nn.Hardshrink(), nn.Threshold(0.1, draw.choice((0.1, 3.0))), nn.Softshrink(),
    ))  # fmt: skip
    return _called(made, draw, special)


def _norm(made: Program, draw: random.Random) -> Statement:
    norm = nn.BatchNorm2d(2)
    norm.running_var.uniform_(0.1, 2)
    norm.running_mean.uniform_(-1, 1)
    nn.init.uniform_(norm.weight, -2, 2)
    return _called(made, draw, draw.choice((norm, norm, norm, nn.GroupNorm(1, 2), nn.LocalResponseNorm(2))))


def _pool(made: Program, draw: random.Random) -> Statement:
    kind = draw.randrange(5)
    take = pick(draw)
    if kind == 0:
        return _called(made, draw, nn.MaxPool2d(3, stride=1, padding=1))
    if kind == 1:
        return _called(made, draw, nn.AvgPool2d(3, 1, 1, count_include_pad=draw.random() < 0.5,
                                                divisor_override=draw.choice((None, None, 2, -3))))  # fmt: skip
    if kind == 2:
        side, ceil = draw.choice((2, 3)), draw.random() < 0.5
        mode = draw.choice(("nearest", "bilinear"))
        return lambda self, pool: pool.append(
            F.interpolate(F.max_pool2d(take(pool), side, ceil_mode=ceil), size=(4, 4), mode=mode)
        )
    if kind == 3:
        out, align = draw.choice((1, 2, 3)), draw.random() < 0.5
        return lambda self, pool: pool.append(
            F.interpolate(F.adaptive_avg_pool2d(take(pool), out), (4, 4), mode="bilinear", align_corners=align)
        )
    return lambda self, pool: pool.append(
        take(pool) + F.avg_pool2d(take(pool), 3, 2, ceil_mode=True).mean((2, 3), True)
    )


def _sum(made: Program, draw: random.Random) -> Statement:
    first, second, size, kind = pick(draw), pick(draw), draw.uniform(-4, 4), draw.randrange(5)

    def statement(self: Program, pool: list[Value]) -> None:
        a, b = first(pool), second(pool)
        pool.append([
            lambda: torch.add(a, b, alpha=size), lambda: a - b, lambda: size - a,
            lambda: a + size * b.mean((2, 3), keepdim=True), lambda: torch.rsub(a, b, alpha=size),
        ][kind]())  # fmt: skip

    return statement


def _scale(made: Program, draw: random.Random) -> Statement:
    take, kind, size = pick(draw), draw.randrange(8), draw.choice((0.3, -2.0, 5.0))
    name = f"b{len(made.told)}"
    held = torch.randn(draw.choice(((1, 2, 1, 1), (4,), (1, 2, 4, 4), ()))) + 0.01
    made.register_buffer(name, held > 0 if kind == 7 else held)
    calls: tuple[Callable[[Program, Tensor], Tensor], ...] = (
        lambda self, x: x * size,
        lambda self, x: x / x.shape[1],
        lambda self, x: x * getattr(self, name),
        lambda self, x: x / getattr(self, name),
        lambda self, x: x * x.size(-1) - x.numel() / len(x),
        lambda self, x: (x * 255 - getattr(self, name)) / 58,
        lambda self, x: getattr(self, name).expand(1, 2, 4, 4) * x,
        lambda self, x: x * getattr(self, name),
    )
    return lambda self, pool: pool.append(calls[kind](self, take(pool)))


def _list(made: Program, draw: random.Random) -> Statement:
    """Lists of values, one of them several times; pieces put together again."""
    takes, kind = [pick(draw) for _ in range(draw.randint(1, 4))], draw.randrange(6)
    name = made.add(nn.Conv2d(2 * len(takes) + 2, 2, 1))

    def statement(self: Program, pool: list[Value]) -> None:
        values = [take(pool) for take in takes]
        many = [*values, values[0]]
        pool.append([
            lambda: self.parts[name](torch.cat(many, 1)),
            lambda: torch.stack(many, 1).sum(1),
            lambda: torch.stack(many).amax(0),
            lambda: torch.cat([v[:, :, :1] for v in (many * 4)[:4]], 2),
            lambda: sum(many[0].unbind(1))[:, None].repeat(1, 2, 1, 1),
            lambda: torch.cat(many[0].split(1, 1)[::-1], 1) + torch.cat(many[-1].chunk(2, 2), 2),
        ][kind]())  # fmt: skip

    return statement


def _turn(made: Program, draw: random.Random) -> Statement:
    take, kind = pick(draw), draw.randrange(10)
    index = torch.tensor([draw.randrange(4) for _ in range(4)])
    calls: tuple[Callable[[Tensor], Tensor], ...] = (
        lambda x: x.flip(1, 2),
        lambda x: x.transpose(2, 3),
        lambda x: x.reshape(len(x), 4, 8).permute(0, 2, 1).reshape(len(x), *SHAPE),
        lambda x: x[:, :, index],
        lambda x: x.roll(1, 3),
        lambda x: x[:, :1].expand(-1, 2, -1, -1),
        lambda x: F.pad(x, (1, 0, 0, 1), mode=("constant", "replicate", "reflect")[index[0] % 3])[:, :, 1:, :4],
        lambda x: x.sort(2).values,
        lambda x: F.pixel_unshuffle(F.pad(x[:, :1], (2, 2, 2, 2)), 2)[:, 1:3],
        lambda x: x.flatten(1).unflatten(1, (-1, 2)).sort(2).values.reshape(len(x), *SHAPE),
    )
    return lambda self, pool: pool.append(calls[kind](take(pool)))


def _choice(made: Program, draw: random.Random) -> Statement:
    first, second, kind, level = pick(draw), pick(draw), draw.randrange(8), draw.uniform(-1, 1)
    mask = torch.rand(SHAPE) > 0.5

    def statement(self: Program, pool: list[Value]) -> None:
        a, b = first(pool), second(pool)
        pool.append([
            lambda: torch.where(mask, a, b), lambda: torch.maximum(a, b), lambda: torch.minimum(a, -b),
            lambda: a.clamp(level, level + 1), lambda: a.masked_fill(mask, level),
            lambda: a.amax(1, keepdim=True) + b, lambda: a.min(3, keepdim=True).values - b,
            lambda: torch.where(mask, a, level),
        ][kind]())  # fmt: skip

    return statement


def _written(y: Tensor, x: Tensor, size: float) -> tuple[Callable[[], object], ...]:
    """Ways to write into y."""
    return (
        lambda: y.add_(x, alpha=size),
        lambda: y.mul_(size),
        lambda: y[:, 0].copy_(size * x[:, 1]),
        lambda: y[:, :, 1:3].add_(x[:, :, :2], alpha=size),
        lambda: torch.relu_(y),
        lambda: y.view(len(y), -1)[:, ::3].mul_(size),
        lambda: y.copy_(size * x.flip(3)),
        lambda: y.data.add_(size * x.data),
        lambda: torch.add(x, x, alpha=size, out=y),
        lambda: y.transpose(2, 3)[:, 1].clamp_(min=-size),
        lambda: y.zero_().add_(size * x),
        lambda: y.detach().sub_(size * x.detach()),
    )


def _write(made: Program, draw: random.Random) -> Statement:
    """Writes into a value that others may look at, or into a view of one."""
    into, take, kind, size = pick(draw), pick(draw), draw.randrange(12), draw.uniform(-9, 9)
    draw_last = draw.random() < 0.5

    def statement(self: Program, pool: list[Value]) -> None:
        y, x = into(pool), take(pool)
        _written(y, x, size)[kind]()
        pool.append(y if draw_last else x)

    return statement


def _trap(made: Program, draw: random.Random) -> Statement:
    """What cannot be bounded, or is not what it looks like."""
    take, kind, size = pick(draw), draw.randrange(22), draw.uniform(2, 9)
    name = f"b{len(made.told)}"
    made.register_buffer(name, torch.ones(1))
    held = {"n": 0.0}

    def count(self: Program, x: Tensor) -> Tensor:
        held["n"] += 1
        return x * held["n"]

    def grow(self: Program, x: Tensor) -> Tensor:
        getattr(self, name).mul_(1.5)
        return x * getattr(self, name)

    def branch(self: Program, x: Tensor) -> Tensor:
        return x if bool(x.detach().sum() > 0) else size * x

    def swallowed(self: Program, x: Tensor) -> Tensor:
        try:
            return x * float(x.detach().mean())
        except Exception:
            return x

    def replaced(x: Tensor, size: float) -> Tensor:
        y = x.clone()
        y.data = size * x.data
        return y

    calls: tuple[Callable[[Program, Tensor], Tensor], ...] = (
        lambda self, x: x + size * x.detach().mean().item(),
        lambda self, x: x * x,
        lambda self, x: x * (x > 0),
        lambda self, x: x.view(torch.int64) * 1e-19,
        lambda self, x: relu(x),
        count,
        grow,
        branch,
        swallowed,
        lambda self, x: Straight.apply(x),
        lambda self, x: x.detach() * size + x,
        lambda self, x: x - x.mean(0, keepdim=True),
        lambda self, x: F.dropout(x, 0.5),
        lambda self, x: x.round(),
        lambda self, x: x / (x.abs() + 0.1),
        lambda self, x: x.half().double(),
        lambda self, x: x * float(torch.as_tensor(x.detach().numpy()).sum()),
        lambda self, x: (x + 1e14) - 1e14,
        lambda self, x: x + torch.rand_like(x),
        lambda self, x: F.normalize(x.flatten(1)).view_as(x),
        lambda self, x: replaced(x, size),
        lambda self, x: x.float().bfloat16().double(),
    )
    return lambda self, pool: pool.append(calls[kind](self, take(pool)))


MAKERS = ((_conv, 3), (_dense, 1), (_rows, 1), (_activation, 3), (_norm, 1), (_pool, 1.5), (_sum, 2), (_scale, 2),
          (_list, 2), (_turn, 2), (_choice, 1.5), (_write, 3), (_trap, 0.5))  # fmt: skip


@dataclass(frozen=True)
class Attacked:
    """What became of a program.

    Args:
        proof: what was proved; None where it was refused.
        refusal: in words.
        found: the steepest secant that the attack found, as a share of the constant; 0 where there is none.
        bent: the largest change of slope, as a share of the constant, of what is said to be affine.
    """

    proof: Proof | None
    refusal: str = ""
    found: float = 0.0
    bent: float = 0.0


def attack(seed: int, prove: Callable[..., Proof], *, steps: int = 12, rows: int = 6) -> Attacked:
    """Prove a program's constant, then look for two points between which it changes by more."""
    made = program(seed)
    generator = torch.Generator().manual_seed(seed)
    start = torch.rand(1, *SHAPE, generator=generator, dtype=torch.float64)
    try:
        proof = prove(made, start, module=made)
    except SnellenError as refused:
        return Attacked(None, str(refused))
    steepest, slopes = 0.0, []
    x = torch.randn(rows, *SHAPE, generator=generator, dtype=torch.float64)
    x *= torch.logspace(-2, 1, rows, dtype=torch.float64).view(-1, 1, 1, 1)
    for step in range(steps):
        way, climb = _ways(made, x, generator)
        for size in (1e-4, 1e-1, 3.0) if step % 3 == 0 else (1e-4,):
            steepest = max(steepest, _secant(made, x, size * way))
        slopes.append(way)
        x = x + 10.0 ** -(step % 3) * climb
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    steepest = max(steepest, *(_secant(made, x, size * noise) for size in (1e-3, 1e-1, 3.0)))
    size = proof.bound
    if size == 0:
        return Attacked(proof, found=steepest / 1e-9)
    return Attacked(proof, found=steepest / size, bent=_bent(made, x, noise) / size if proof.affine else 0.0)


def _ways(made: Program, x: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
    """Directions of length one in which the program is steep, and in which its slope grows (or random ones).

    The first come from differences alone, since gradients may be cut, or lie.
    """
    count = x[0].numel()
    moved = x[:, None] + 1e-6 * torch.eye(count, dtype=x.dtype).view(1, count, *SHAPE)
    noise = torch.randn(x.shape, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        slope = (made(moved.flatten(0, 1)).view(len(x), count) - made(x)[:, None]).view_as(x)
    steep = slope.flatten(1).norm(dim=1).view(-1, 1, 1, 1) > 1e-12
    point = x.clone().requires_grad_()
    climb = None
    with torch.enable_grad(), contextlib.suppress(RuntimeError):  # written over, or cut off
        (up,) = torch.autograd.grad(made(point).sum(), point, create_graph=True)
        (climb,) = torch.autograd.grad(up.flatten(1).norm(dim=1).sum(), point)
    return _unit(torch.where(steep, slope, noise)), _unit(noise if climb is None else climb + 0.01 * noise)


def _unit(way: Tensor) -> Tensor:
    return way / way.flatten(1).norm(dim=1).clamp(min=1e-30).view(-1, 1, 1, 1)


def _secant(made: Program, x: Tensor, step: Tensor) -> float:
    with torch.no_grad():
        there, here = made(x + step), made(x)
    rounding = 1e-12 * (1 + float(here.abs().max()))
    return float((((there - here).abs() - rounding) / step.flatten(1).norm(dim=1)).max())


def _bent(made: Program, x: Tensor, noise: Tensor) -> float:
    with torch.no_grad():
        off = made(x + noise) + made(x - noise) - 2 * made(x)
        rounding = 1e-9 * (1 + float(made(x).abs().max()))
    return float(((off.abs() - rounding) / noise.flatten(1).norm(dim=1)).max())


def escapes(attacked: Attacked) -> bool:
    """Whether the attack shows that what was proved is wrong."""
    return not attacked.found <= 1 + 1e-6 or attacked.bent > 1e-6 or not math.isfinite(attacked.found)
