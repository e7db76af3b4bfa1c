#!/bin/sh
# From a bare clone to a complete .venv: finds a Python, makes the environment, installs exactly what the lock files say.
#
#   deploy/setup.sh          set up; says what it does, and nothing takes long when nothing changed
#   deploy/setup.sh --find   only print the Python that would be taken
#
# PYTHON=/path/to/python chooses one by hand. On the PATH of many machines stand pyenv shims that fail when they are run, and HOME
# may point to an empty folder, so a Python counts only if it runs and says that it is new enough, and the account's own home is
# read from the system as well.
set -eu
cd "$(dirname "$0")/.."

say() { printf 'set-up: %s\n' "$*" >&2; }
refuse() { say "$*"; exit 1; }

# Prints "VERSION PATH-OF-THE-REAL-PROGRAM" when the candidate runs, and succeeds only from Python 3.12 on.
probe() {
    "$1" -c 'import sys; print("%d.%d.%d" % sys.version_info[:3], sys.executable); sys.exit(sys.version_info < (3, 12))' 2>/dev/null
}

account_home() {
    if command -v getent >/dev/null 2>&1; then getent passwd "$(id -u)" | cut -d: -f6
    else awk -F: -v uid="$(id -u)" '$3 == uid { print $6; exit }' /etc/passwd 2>/dev/null; fi
}

# The Pythons under a folder of versions, the newest first; "3.9" sorts below "3.12".
versions_in() {
    [ -d "$1" ] || return 0
    ls "$1" 2>/dev/null | sort -t. -k1,1nr -k2,2nr -k3,3nr | while read -r version; do
        if [ -e "$1/$version/bin/python3" ]; then printf '%s\n' "$1/$version/bin/python3"; fi
    done
}

# Every candidate in the order in which it is asked, one a line.
candidates() {
    for name in python3.14 python3.13 python3.12; do command -v "$name" || true; done
    if [ -n "${PYENV_ROOT:-}" ]; then versions_in "$PYENV_ROOT/versions"; fi
    for name in python3.14 python3.13 python3.12 python3 python; do
        shim=$(command -v "$name" || true)
        case $shim in */shims/*) versions_in "$(dirname "$(dirname "$shim")")/versions" ;; esac
    done
    home=$(account_home || true)
    if [ -n "$home" ]; then versions_in "$home/.pyenv/versions"; fi
    command -v python3 || true
}

chosen() {
    if [ -n "${PYTHON:-}" ]; then
        if found=$(probe "$PYTHON"); then printf '%s\n' "$found"; return 0; fi
        if [ -n "$found" ]; then refuse "PYTHON=$PYTHON is Python ${found%% *}; this project needs 3.12 or newer."; fi
        refuse "PYTHON=$PYTHON does not run; this project needs Python 3.12 or newer."
    fi
    candidates | while read -r candidate; do
        if found=$(probe "$candidate"); then printf '%s\n' "$found"; break; fi
    done
}

# uv can fetch a Python where none is new enough. It is itself installed with any Python 3 that has pip.
fetched() {
    uv=$(command -v uv || true)
    if [ -z "$uv" ]; then
        python3 -m pip --version >/dev/null 2>&1 ||
            refuse "no Python 3.12 or newer was found, and there is no python3 with pip to fetch one. Install Python 3.12 or newer, or give its path: make PYTHON=/path/to/python3.13"
        say "no Python 3.12 or newer was found; fetching one with uv"
        mkdir -p .tools
        awk '/^[a-z]/ { uv = /^uv==/ } uv' requirements-tools.txt >.tools/uv.txt
        python3 -m pip install --quiet --disable-pip-version-check --require-hashes --upgrade --target .tools -r .tools/uv.txt >&2
        uv=.tools/bin/uv
    fi
    UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" "$uv" python install --quiet 3.13 >&2 ||
        refuse "no Python 3.12 or newer was found, and uv could not fetch one. Install Python 3.12 or newer, or give its path: make PYTHON=/path/to/python3.13"
    probe "$("$uv" python find 3.13)"
}

make_environment() {
    say "making .venv with Python $1 ($2)"
    rm -rf .venv
    "$2" -m venv .venv >/dev/null 2>&1 || {
        rm -rf .venv
        refuse "Python $1 ($2) cannot make a virtual environment. On Debian and Ubuntu: apt-get install python3-venv; or choose another with PYTHON="
    }
}

install_all() {
    # uv trusts the certificates of the system, as pip does: behind a company's proxy its own list is not enough.
    export UV_LINK_MODE="${UV_LINK_MODE:-copy}" UV_SYSTEM_CERTS="${UV_SYSTEM_CERTS:-true}" PIP_DISABLE_PIP_VERSION_CHECK=1
    if ! .venv/bin/uv --version 2>/dev/null | grep -q "$(sed -n 's/^uv==\([^ ]*\).*/\1/p' requirements-tools.txt)"; then
        say "installing the installer"
        .venv/bin/python -m pip install --quiet --require-hashes -r requirements-tools.txt
    fi
    say "installing $(grep -c '^[a-z]' requirements-dev.txt) locked packages"
    # Where only pip knows the way to the packages (a mirror in its own settings), pip does it.
    .venv/bin/uv pip install --quiet --python .venv/bin/python --require-hashes -r requirements-tools.txt -r requirements-dev.txt || {
        say "uv could not install them; trying pip"
        .venv/bin/python -m pip install --quiet --require-hashes -r requirements-dev.txt
    }
    .venv/bin/uv pip install --quiet --python .venv/bin/python --offline --no-deps --no-build-isolation --editable . ||
        .venv/bin/python -m pip install --quiet --no-deps --no-build-isolation --editable .
}

# What .venv was made from: the place of the clone (scripts hold it), the Python asked for, the locks and what is installed of us.
fingerprint() {
    printf '%s %s ' "$PWD" "${PYTHON:-any}"
    cat requirements-tools.txt requirements-dev.txt pyproject.toml deploy/setup.sh | cksum
}

if [ "${1:-}" = --find ]; then
    found=$(chosen)
    [ -n "$found" ] || refuse "no Python 3.12 or newer was found"
    printf '%s\n' "${found#* }"
    exit 0
fi

wanted=$(fingerprint)
if [ -f .venv/set-up ] && [ "$(cat .venv/set-up)" = "$wanted" ] && .venv/bin/python -c '' 2>/dev/null; then exit 0; fi

found=$(chosen)
[ -n "$found" ] || found=$(fetched)
version=${found%% *} program=${found#* }
if [ -n "${PYTHON:-}" ] || ! probe .venv/bin/python >/dev/null || ! grep -qxF "$PWD" .venv/place 2>/dev/null; then
    make_environment "$version" "$program"
    printf '%s\n' "$PWD" >.venv/place
fi
install_all
printf '%s\n' "$wanted" >.venv/set-up
say "ready (Python $(.venv/bin/python -c 'import platform; print(platform.python_version())'))"
