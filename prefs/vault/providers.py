"""Where wrapping keys come from. A provider is asked at start, and again when a key turns up that it did not name then.

A command stands for any key management service: it prints what the file would hold, so that the key that unlocks the
wrapping keys never has to come near this program.
"""

import os
import shlex
import subprocess
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from prefs.core.errors import Sealed
from prefs.vault.keys import WrappingKey, new_key, read, write

COMMAND_MAX_S = 10.0
TOLD_MAX = 200  # characters of what a command complained about


class Provider(Protocol):
    """Raises Sealed with a sentence that says what is wrong and where."""

    @property
    def place(self) -> str: ...

    def load(self) -> list[WrappingKey]: ...


def _read(text: str, where: str) -> list[WrappingKey]:
    try:
        return read(text, where)
    except ValueError as error:
        raise Sealed(f"{error}.") from None


@dataclass(frozen=True, slots=True)
class FileProvider:
    path: Path

    @property
    def place(self) -> str:
        return f"the key file {self.path}"

    def load(self) -> list[WrappingKey]:
        try:
            text = self.path.read_text(encoding="utf-8")
        except OSError as error:
            raise Sealed(f"The wrapping keys in {self.path} cannot be read: {error.strerror}.") from error
        except UnicodeDecodeError:
            raise Sealed(f"{self.path} is no file of wrapping keys.") from None
        return _read(text, str(self.path))

    def make(self) -> bool:
        """A file with one new key, readable by its owner alone; False when there is one already."""
        return self._put([new_key()], replace=False)

    def add(self) -> WrappingKey:
        """Put a new key in front of those that are there."""
        added = new_key()
        self._put([added, *self.load()], replace=True)
        return added

    def remove(self, ids: Sequence[str]) -> None:
        self._put([key for key in self.load() if key.id not in ids], replace=True)

    def _put(self, keys: Sequence[WrappingKey], *, replace: bool) -> bool:
        """Whole or not at all: a process that reads meanwhile finds the old file or the new one."""
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            handle, made = tempfile.mkstemp(dir=self.path.parent, prefix=self.path.name)  # mode 0600
            try:
                with os.fdopen(handle, "w", encoding="utf-8") as file:
                    file.write(write(keys))
                    file.flush()
                    os.fsync(file.fileno())
                if replace:
                    os.replace(made, self.path)
                else:
                    os.link(made, self.path)
            finally:
                Path(made).unlink(missing_ok=True)
        except FileExistsError:
            return False
        except OSError as error:
            raise Sealed(f"The wrapping keys in {self.path} cannot be written: {error.strerror}.") from error
        return True


@dataclass(frozen=True, slots=True)
class EnvironmentProvider:
    name: str
    text: str = field(repr=False)

    @property
    def place(self) -> str:
        return f"the variable {self.name}"

    def load(self) -> list[WrappingKey]:
        return _read(self.text, self.name)


@dataclass(frozen=True, slots=True)
class CommandProvider:
    command: str
    within_s: float = COMMAND_MAX_S

    @property
    def place(self) -> str:
        return f"the command {self._program}"

    @property
    def _program(self) -> str:
        """Its arguments stay unsaid: they may hold a secret."""
        try:
            return shlex.split(self.command)[0]
        except (ValueError, IndexError):
            return "for the wrapping keys"

    def load(self) -> list[WrappingKey]:
        program = self._program
        try:
            done = subprocess.run(
                shlex.split(self.command),
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=self.within_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise Sealed(
                f"The command {program} gave no wrapping keys within {self.within_s:g} s; it was stopped."
            ) from None
        except (OSError, ValueError) as error:
            raise Sealed(f"The command {program} for the wrapping keys cannot be run: {error}.") from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip().replace("\n", " ")[:TOLD_MAX]
            raise Sealed(f"The command {program} for the wrapping keys failed with exit code {done.returncode}: {said}")
        return _read(done.stdout.decode(errors="replace"), f"what the command {program} printed")
