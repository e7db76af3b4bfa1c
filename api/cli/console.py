"""What the command line says and how: colours and bars on a terminal, plain lines elsewhere, errors as one sentence."""

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


class CommandFault(Exception):
    """A command cannot go on; the sentence says why and what to do, and is all that the user sees."""


def say(sentence: str) -> None:
    out.print(sentence, markup=False)


def complain(sentence: str) -> None:
    err.print(f"guestprefs: {sentence}", markup=False, style="red" if err.is_terminal else None)


def progress() -> Progress:
    """A bar on a terminal; elsewhere only its last state is printed, once."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        console=out,
    )
