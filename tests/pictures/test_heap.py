import pytest
import torch

from snellen.pictures import heap


def test_contexts_nest_and_close_whatever_happens():
    @heap.roomy_heap()
    def interrupted():
        with heap.roomy_heap():
            assert heap._open == 2
        assert heap._open == 1
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert heap._open == 0


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_elsewhere_nothing_happens(platform, monkeypatch):
    monkeypatch.setattr(heap.sys, "platform", platform)
    assert heap._glibc() is None
    with heap.roomy_heap():
        assert torch.zeros(10).sum() == 0
