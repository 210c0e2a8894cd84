"""Response norms that `torch.compile` fuses, against PyTorch's; and what is said where nothing can be compiled."""

import functools
import shutil
import subprocess
import sys

import pytest
import torch
from torch import nn

from snellen.base import UsageError
from snellen.models import Model, fusion
from snellen.models.edits import streamlined
from snellen.models.fusion import CompiledResponseNorm, _run
from snellen.models.stand_ins import BandedResponseNorm
from snellen.pictures import render

needs_compiler = pytest.mark.skipif(shutil.which("c++") is None, reason="no C++ compiler")


# Programs of their own: the compiler does not see through this suite's type checks, and warns of PyTorch's own code.
SAME_NORM = """
import torch
from torch import nn
from snellen.models.fusion import CompiledResponseNorm

def normal(shape, seed):
    return torch.randn(shape, generator=torch.Generator().manual_seed(seed), dtype=torch.float64)

for size, beta in ((5, 0.75), (4, 0.5)):
    plain = nn.LocalResponseNorm(size, alpha=2.0, beta=beta, k=1.5)
    compiled = CompiledResponseNorm(plain)
    for dtype, within in ((torch.float64, 1e-10), (torch.float32, 1e-5), (torch.bfloat16, 3e-2)):
        for shape in ((2, 7, 3, 4), (3, 130, 5, 2), (1, 2, 1, 3)):
            x, weights = normal(shape, 0).to(dtype).requires_grad_(), normal(shape, 1).to(dtype)
            exact = x.detach().double().requires_grad_()
            torch.testing.assert_close(compiled(x).double(), plain(exact), rtol=within, atol=within)
            (found,) = torch.autograd.grad((compiled(x) * weights).sum(), x)
            (true,) = torch.autograd.grad((plain(exact) * weights.double()).sum(), exact)
            torch.testing.assert_close(found.double(), true, rtol=within, atol=4 * within)
        rows = normal((3, 7, 2, 2), 2).to(dtype).contiguous(memory_format=torch.channels_last)
        rows[0] = torch.nan  # a picture that diverged lies beside the next one in memory
        assert torch.isfinite(compiled(rows)[1:]).all() and torch.isnan(compiled(rows)[0]).all()
print("same")
"""
SAME_PICTURES = """
import torch
from torch import nn
from snellen.models import Model
from snellen.pictures import render

torch.manual_seed(0)
norm = nn.LocalResponseNorm(5, alpha=1.0)
network = nn.Sequential(nn.Conv2d(3, 8, 3), norm, nn.ReLU(inplace=True), nn.Conv2d(8, 4, 3))
model = Model(network, size=(16, 16))
plain, compiled = (render(model, ["3:0", "3:2"], steps=8, compiled=c).images for c in (False, True))
assert not torch.equal(plain, torch.full_like(plain, 0.5))
torch.testing.assert_close(compiled, plain, atol=1e-4, rtol=0)
print("same")
"""


@pytest.mark.slow
@needs_compiler
@pytest.mark.parametrize("program", [SAME_NORM, SAME_PICTURES], ids=["norm", "pictures"])
def test_what_is_compiled_is_the_same_function(program):
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=600, check=False)
    assert (ran.returncode, ran.stdout) == (0, "same\n"), ran.stderr[-2000:]


def test_it_stands_in_only_where_asked_for():
    network = nn.Sequential(nn.LocalResponseNorm(3))
    for asked, kind in ((False, BandedResponseNorm), (True, CompiledResponseNorm)):
        with streamlined(network, compiled=asked):
            assert type(network[0]) is kind
    assert type(network[0]) is nn.LocalResponseNorm


def test_a_compiler_that_fails_is_one_line_that_says_what_to_do():
    def broken(_rows):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found\nand more")

    with pytest.raises(UsageError, match=r"C\+\+ compiler.*No working C\+\+ compiler found; install one") as caught:
        _run(broken, torch.zeros(2, 3))
    assert "\n" not in str(caught.value)


def test_a_network_whose_norm_cannot_be_compiled_is_not_blamed_for_it(monkeypatch):
    def broken(*_rows):
        raise RuntimeError("no compiler")

    monkeypatch.setattr(fusion, "kernels", lambda *_constants: fusion.Kernels(*[functools.partial(_run, broken)] * 4))
    torch.manual_seed(0)
    model = Model(nn.Sequential(nn.Conv2d(3, 2, 1), nn.LocalResponseNorm(3)), size=(8, 8))
    with pytest.raises(UsageError, match=r"^expected a C\+\+ compiler"):
        render(model, "1:0", steps=1, compiled=True)
