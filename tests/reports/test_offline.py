"""The report builds where nothing but jinja2 is installed, and importing it imports no torch."""

import subprocess
import sys
from pathlib import Path

SCRIPT = """
import sys
from pathlib import Path

BLOCKED = {"torch", "torchvision", "timm", "transformers", "numpy", "scipy", "PIL", "skimage", "matplotlib"}

class Block:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in BLOCKED:
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

sys.meta_path.insert(0, Block())
assert not BLOCKED & set(sys.modules)
import snellen.reports
assert not BLOCKED & set(sys.modules)
print(snellen.reports.build(Path(sys.argv[1])))
assert not BLOCKED & set(sys.modules)
"""


def test_it_builds_without_torch(run: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SCRIPT, str(run)], capture_output=True, text=True, timeout=120
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == str(run / "index.html")
    assert (run / "index.html").stat().st_size > 20_000


def test_importing_it_does_not_import_torch() -> None:
    probe = "import sys, snellen.reports; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", probe], timeout=120).returncode == 0
