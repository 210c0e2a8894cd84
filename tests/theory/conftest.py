"""Makes the modules beside the tests importable: theory_members (random members), theory_attacks (their trials)."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parent))
