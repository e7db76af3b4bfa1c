#!/bin/sh
# Writes the three lock files anew from pyproject.toml: newest versions that fit, every file with its hashes, no address of any index.
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
