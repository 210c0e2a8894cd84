"""In a real IPython kernel: pictures, trees and verdicts are shown, and a bar comes and goes without being asked."""

import os
import re
from pathlib import Path

import pytest

import snellen

SETUP = """
import torch
from torch import nn
import snellen
import snellen.progress.display as display
display.PATIENCE = 60.0
torch.set_num_threads(1)
torch.manual_seed(0)
body = [nn.Conv2d(3, 6, 3, 2, 1), nn.ReLU(), nn.Conv2d(6, 8, 3, 2, 1)]
net = nn.Sequential(*body, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8, 4))
images = torch.rand(12, 3, 32, 32)
"""


class Kernel:
    """Runs cells, and keeps the messages that a front end would show."""

    def __init__(self, client):
        self._client = client

    def run(self, code):
        """(type, content) of every output of a cell."""
        shown = []
        reply = self._client.execute_interactive(
            code, timeout=120, output_hook=lambda m: shown.append((m["msg_type"], m["content"])), store_history=False
        )
        assert reply["content"]["status"] == "ok", "\n".join(reply["content"].get("traceback", []))
        return [(kind, content) for kind, content in shown if kind not in ("status", "execute_input")]

    def result(self, code):
        """The value of a cell's last line as text and HTML; nothing else may be shown."""
        ((kind, content),) = self.run(code)
        assert kind == "execute_result"
        return content["data"]["text/plain"], content["data"]["text/html"]


@pytest.fixture(scope="module")
def kernel(tmp_path_factory):
    manager = pytest.importorskip("jupyter_client.manager", reason="no Jupyter here; pip install ipykernel")
    pytest.importorskip("ipykernel")
    home = tmp_path_factory.mktemp("jupyter")
    paths = {name: str(home / name) for name in ("IPYTHONDIR", "JUPYTER_DATA_DIR", "JUPYTER_RUNTIME_DIR")}
    environment = {**os.environ, **paths, "PYTHONPATH": str(Path(snellen.__file__).parents[1])}
    running = manager.KernelManager(transport="ipc", ip=str(home / "kernel"))
    running.start_kernel(env=environment, cwd=str(home))
    client = running.blocking_client()
    client.start_channels()
    client.wait_for_ready(timeout=120)
    try:
        found = Kernel(client)
        found.run(SETUP)
        yield found
    finally:
        client.stop_channels()
        running.shutdown_kernel(now=True)
        running.cleanup_resources()


def test_one_line_is_a_picture(kernel):
    text, page = kernel.result('snellen.render(net, ["0:3", "5:1"], steps=3)')
    assert text.startswith("<2 pictures of 32x32 px: 0:3 (response ")
    assert page.count("data:image/png;base64,") == 2


def test_layers_are_a_tree(kernel):
    text, page = kernel.result("snellen.layers(net)")
    assert text.startswith("<6 layers, 3 main, of Sequential")
    assert "Conv2d" in page


def test_two_lines_are_a_report(kernel):
    text, page = kernel.result('audit = snellen.audit(net, images=images, steps=2, quick=True, units=["5:0-1"])\naudit')
    assert text.startswith("<audit of Sequential: ")
    assert page.count("data:image/png;base64,") == 2
    text, page = kernel.result("audit.findings[0]")
    assert re.match(r"<[\w-]+: [\w ]+\. ", text)
    assert "<ul>" in page
    assert "data:image/png" in kernel.result('audit.units["5:1"]')[1]
    shown = kernel.run("audit.show()")
    assert [kind for kind, _ in shown] == ["display_data"]


def test_a_bar_comes_and_goes_by_itself_and_can_be_turned_off(kernel):
    kernel.run("display.PATIENCE = display._BETWEEN = 0.0")
    shown = kernel.run('drawn = snellen.render(net, "0:3", steps=5)')
    pages = [content["data"]["text/html"] for kind, content in shown if kind in ("display_data", "update_display_data")]
    assert [kind for kind, _ in shown] == ["display_data", *["update_display_data"] * 5]
    assert "<progress" in pages[0]
    assert "drawing: 20 %" in pages[0]
    assert "left" in pages[2]
    assert pages[-1] == "<span></span>"
    assert kernel.run('drawn = snellen.render(net, "0:3", steps=5, progress=False)') == []
    shown = kernel.run('found = snellen.checks.Jumps()(net, "5:0", images=images, steps=2, quick=True)')
    assert {kind for kind, _ in shown} == {"display_data", "update_display_data"}
    assert kernel.run("display.PATIENCE = 60.0; drawn = snellen.render(net, '0:3', steps=5)") == []
