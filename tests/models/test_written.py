"""What a layout reads from an output can be written back."""

import pytest
import torch

from snellen.base import LayerError
from snellen.models.layout import Layout

SHAPES = [
    (Layout(0, 1), (2, 3, 4, 5)),
    (Layout(0, 3), (2, 4, 5, 3)),
    (Layout(1, 2), (7, 2, 3)),
    (Layout(2, 0), (3, 7, 2)),
    (Layout(0, 1), (2, 3)),
    (Layout(1, 0), (3, 2)),
    (Layout(3, 0), (3, 4, 5, 2)),
    (Layout(1, 3), (4, 2, 5, 3)),
]


@pytest.mark.parametrize(("layout", "shape"), SHAPES)
def test_what_is_written_is_what_was_read(layout, shape):
    output = torch.arange(float(torch.tensor(shape).prod())).reshape(shape)
    read = layout.read(output, 2)
    assert read.shape[0] == 2
    assert layout.write(read).shape == output.shape
    assert bool((layout.write(read) == output).all())


def test_windows_that_were_put_together_cannot_be_written():
    with pytest.raises(LayerError, match="windows"):
        Layout(0, 2, "outer").write(torch.zeros(2, 8, 3))
