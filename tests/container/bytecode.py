"""Run by the functions' own Python: prints the modules of a layer whose bytecode is not what their source compiles to,
as they lie at AWS, never to be checked there."""

import marshal
import sys
from importlib.util import MAGIC_NUMBER, cache_from_source, source_hash
from pathlib import Path

UNCHECKED_HASH = b"\x01\x00\x00\x00"  # the flags of a .pyc that is never compared with its source (PEP 552)

LAYER = Path(sys.argv[1])

for path in LAYER.rglob("*.py"):
    source = path.read_bytes()
    code = compile(source, f"/opt/{path.relative_to(LAYER)}", "exec", dont_inherit=True)
    header = MAGIC_NUMBER + UNCHECKED_HASH + source_hash(source)
    if Path(cache_from_source(str(path))).read_bytes() != header + marshal.dumps(code):
        sys.stdout.write(f"{path}\n")
