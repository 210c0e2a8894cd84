"""Networks of a few thousand weights with everything that real ones trip over, for the tests."""

import torch
import torch.nn.functional as F
from torch import nn

from snellen.models import Model, Preprocess


class Cnn(nn.Module):
    """Batch norm, a response norm, ReLUs in place as modules and as functions, a sum in place, any input size."""

    def __init__(self, channels=3):
        super().__init__()
        self.stem = nn.Sequential(nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True))
        self.norm = nn.LocalResponseNorm(3, alpha=0.5, beta=0.75, k=1.0)
        self.pool = nn.MaxPool2d(2)
        self.conv2 = nn.Conv2d(8, 10, 3, padding=1)
        self.conv3 = nn.Conv2d(10, 10, 3, padding=1)
        self.conv4 = nn.Conv2d(10, 6, 3, stride=2, padding=1)
        self.drop = nn.Dropout(0.5)
        self.fc = nn.Linear(6, 5)

    def forward(self, x):
        x = self.pool(self.norm(self.stem(x)))
        x = F.relu(self.conv2(x), inplace=True)
        y = self.conv3(x)
        y += x
        y = F.relu_(y)
        y = self.conv4(y).relu()
        return self.fc(self.drop(y.mean((2, 3))))


class Block(nn.Module):
    """One head of attention and two layers, as in a vision transformer."""

    def __init__(self, width):
        super().__init__()
        self.norm1, self.norm2 = nn.LayerNorm(width), nn.LayerNorm(width)
        self.qkv, self.proj = nn.Linear(width, 3 * width), nn.Linear(width, width)
        self.mlp = nn.Sequential(nn.Linear(width, 2 * width), nn.GELU(), nn.Linear(2 * width, width))

    def forward(self, x):
        q, k, v = self.qkv(self.norm1(x)).chunk(3, -1)
        x = x + self.proj(F.scaled_dot_product_attention(q, k, v))
        return x + self.mlp(self.norm2(x))


class Tokens(nn.Module):
    """A vision transformer for 32 px: patches of 8 px, so a class token and 4 x 4 others."""

    def __init__(self, width=12):
        super().__init__()
        self.patches = nn.Conv2d(3, width, 8, stride=8)
        self.first = nn.Parameter(torch.randn(1, 1, width))
        self.places = nn.Parameter(torch.randn(1, 17, width) * 0.3)
        self.blocks = nn.Sequential(Block(width), Block(width))
        self.norm = nn.LayerNorm(width)
        self.head = nn.Linear(width, 4)

    def forward(self, x):
        x = self.patches(x).flatten(2).transpose(1, 2)
        x = torch.cat([self.first.expand(len(x), -1, -1), x], 1) + self.places
        return self.head(self.norm(self.blocks(x))[:, 0])


IMAGENET = Preprocess(mean=(0.48, 0.46, 0.41), std=(0.23, 0.22, 0.22))


def cnn(seed=0, *, size=(24, 24), double=False, preprocess=IMAGENET):
    """A random `Cnn` whose statistics look as if it had been trained."""
    torch.manual_seed(seed)
    module = Cnn(1 if preprocess.channels == "grey" else 3)
    bn = module.stem[1]
    bn.running_mean.normal_(0, 0.2), bn.running_var.uniform_(0.5, 1.5)
    with torch.no_grad():
        for part in (module.conv2, module.conv3, module.conv4, module.fc):
            part.weight *= 2.5
    return Model(module.double() if double else module, "cnn", size, preprocess)


def tokens(seed=0, *, double=False):
    """A random `Tokens`."""
    torch.manual_seed(seed)
    module = Tokens()
    return Model(module.double() if double else module, "tokens", (32, 32), IMAGENET)


def in_sequence(*parts, size=(16, 16), **named):
    """A model of a plain chain."""
    return Model(nn.Sequential(*parts), "chain", size, **named)


class State:
    """All that a reading or an edit must leave as it was, bit for bit."""

    def __init__(self, module):
        self.module = module
        self.parts = dict(module.named_modules())
        self.modes = {n: m.training for n, m in self.parts.items()}
        self.hooks = {n: self._hooks(m) for n, m in self.parts.items()}
        self.children = {n: dict(m._modules) for n, m in self.parts.items()}
        self.tensors = dict(module.named_parameters()) | dict(module.named_buffers())
        self.bits = {n: t.detach().clone() for n, t in self.tensors.items()}
        self.places = {n: (t.data_ptr(), t.stride(), t.dtype) for n, t in self.tensors.items()}
        self.asking = {n: t.requires_grad for n, t in self.tensors.items()}
        self.grads = {n: None if t.grad is None else (t.grad, t.grad.clone()) for n, t in self.tensors.items()}
        self.surroundings = self._surroundings()

    @staticmethod
    def _hooks(m):
        kinds = ("_forward_hooks", "_forward_pre_hooks", "_backward_hooks", "_backward_pre_hooks")
        return {k: dict(getattr(m, k)) for k in kinds}

    @staticmethod
    def _surroundings():
        import random

        import numpy as np

        return {
            "torch": bytes(torch.get_rng_state().numpy()),
            "numpy": np.random.get_state()[1].tobytes(),
            "python": random.getstate(),
            "dtype": torch.get_default_dtype(),
            "grad": torch.is_grad_enabled(),
            "autocast": torch.is_autocast_enabled("cpu"),
            "modes": torch._C._len_torch_function_stack(),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "threads": torch.get_num_threads(),
        }

    def check(self):
        """Raises AssertionError where anything is not as it was."""
        now = State(self.module)
        for what in ("modes", "hooks", "children", "places", "asking", "surroundings"):
            assert getattr(now, what) == getattr(self, what), what
        assert all(now.parts[n] is m for n, m in self.parts.items())
        for name, tensor in self.tensors.items():
            assert now.tensors[name] is tensor, name
            assert torch.equal(tensor, self.bits[name]), name
            before = self.grads[name]
            if before is None:
                assert tensor.grad is None, name
            else:
                assert tensor.grad is before[0], name
                assert torch.equal(tensor.grad, before[1]), name
