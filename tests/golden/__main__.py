"""Print the hashes of this machine beside the stored ones; --write stores them."""

import json
import sys
import tempfile
from pathlib import Path

from tests.golden import runs

with tempfile.TemporaryDirectory() as folder:
    found = runs.hashes(Path(folder))
known = runs.stored()
before = known.get(runs.machine(), {})
for name, value in found.items():
    print(f"{name:30} {value}  {'' if name not in before else 'same' if before[name] == value else 'CHANGED'}")
if "--write" in sys.argv[1:]:
    known[runs.machine()] = found
    runs.HASHES.write_text(json.dumps(known, indent=2) + "\n", encoding="utf-8")
