"""Says what is wrong with the image it runs in, and fails: with what rights, what can be written, what lies there.

Run by the image's own Python, as its own account, beside the service. `loose` as argument leaves out what only a
confined container has: where a builder without an engine starts the image, its root can be written.
"""

import importlib.util
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

MODULES = ("pip", "ensurepip", "uv", "hatchling", "pytest", "hypothesis", "mypy")
PROGRAMS = ("gcc", "cc", "pip", "uv", "docker")
SECRETS = {"keys.json", "cache.key", "ledger.key", "vault.json", "demo.json", ".env"}
DATA = Path("/data")
# Made anew for each container, in memory, or not files at all.
PASSING = {"/proc", "/sys", "/dev", "/tmp", "/run/secrets"}


def status_of(process: str) -> dict[str, str]:
    lines = Path(f"/proc/{process}/status").read_text(encoding="ascii").splitlines()
    return {name: words.strip() for name, _, words in (line.partition(":") for line in lines)}


def rights(process: str) -> Iterator[str]:
    status = status_of(process)
    if "0" in status["Uid"].split() or "0" in status["Gid"].split():
        yield f"process {process} runs as root"
    for name in ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb"):
        if int(status[name], 16):
            yield f"process {process} has a capability ({name} {status[name]})"
    if status["NoNewPrivs"] != "1":
        yield f"process {process} may gain rights"


def folders(root: Path) -> Iterator[tuple[str, list[str]]]:
    """Every folder of the image with the names of its files."""
    for folder, inner, files in os.walk(root):
        inner[:] = [one for one in inner if os.path.join(folder, one) not in PASSING | {str(DATA)}]
        yield folder, files


def contents(root: Path = Path("/")) -> Iterator[str]:
    yield from (f"module {name}" for name in MODULES if importlib.util.find_spec(name))
    yield from (f"program {name}" for name in PROGRAMS if shutil.which(name))
    if os.access(sys.prefix, os.W_OK):
        yield "the code can be written"
    for folder, files in folders(root):
        yield from (f"a secret in its files: {folder}/{name}" for name in SECRETS & set(files))


def written(root: Path = Path("/")) -> Iterator[str]:
    """A root that nothing can be written to, though its modes may allow it."""
    if not os.statvfs(root).f_flag & os.ST_RDONLY:
        yield "its root can be written to"
    yield from (f"{folder} can be written to" for folder, _ in folders(root) if os.access(folder, os.W_OK))


def kept(data: Path = DATA) -> Iterator[str]:
    """What the service made for itself: there, and readable by nobody else."""
    if not data.is_dir():
        yield f"{data} is not there"
        return
    for name in ("keys.json", "vault.json", "ledger.key"):
        if not (data / name).is_file():
            yield f"{data / name} was not made"
    if stat.S_IMODE(data.stat().st_mode) & 0o077:
        yield f"{data} is open to others"
    for path in data.rglob("*"):
        if path.name in SECRETS and stat.S_IMODE(path.stat().st_mode) & 0o077:
            yield f"{path} is open to others"


def main(*words: str) -> None:
    loose = "loose" in words
    faults = [*contents(), *kept()]
    if loose:
        faults += ["it runs as root"] * (os.getuid() == 0)
    else:
        faults += [*rights("self"), *rights("1"), *written()]
    sys.exit(f"not wanted in the image: {', '.join(faults)}" if faults else 0)


if __name__ == "__main__":
    main(*sys.argv[1:])
