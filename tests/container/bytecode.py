"""Prints a layer's modules whose bytecode differs from their compiled source. Runs with the functions' Python.

The expected bytecode names the paths at AWS and is never checked against its source there.
"""

import marshal
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

UNCHECKED_HASH = b"\x01\x00\x00\x00"  # .pyc flags: hash-based, never checked against the source (PEP 552)

LAYER = Path(sys.argv[1])

for path in LAYER.rglob("*.py"):
    source = path.read_bytes()
    code = compile(source, f"/opt/{path.relative_to(LAYER)}", "exec", dont_inherit=True)
    header = MAGIC_NUMBER + UNCHECKED_HASH + source_hash(source)
    if Path(cache_from_source(str(path))).read_bytes() != header + marshal.dumps(code):
        sys.stdout.write(f"{path}\n")
