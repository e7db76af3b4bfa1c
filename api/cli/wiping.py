"""How the workers' allocators are told to overwrite what is freed, so that a core file shows only what is in use.

Three of them hand out the memory of a worker, and each reads its environment before anything else runs; so this is said
to workers as they are spawned. Python's own never overwrites anything and is left out: its objects come from the C
library's, which does, once the lists are off that it keeps apart for each thread and does not overwrite. The server's
sockets are read into memory of an allocator that came with it.
"""

import platform
from collections.abc import Mapping

from api.cli.console import CommandFault

PATTERN = 0xA5  # neither zero nor a letter: in a core file it is seen at once
LIBRARY = "glibc"
WANTED = (
    ("GLIBC_TUNABLES", ":", f"glibc.malloc.perturb={PATTERN}"),
    ("GLIBC_TUNABLES", ":", "glibc.malloc.tcache_count=0"),
    ("_RJEM_MALLOC_CONF", ",", "junk:free"),
)


def environment(around: Mapping[str, str]) -> dict[str, str]:
    """What workers need in theirs beside what is around; of what is said twice the last word counts, which is ours."""
    found = {"PYTHONMALLOC": "malloc"}
    for variable, between, word in WANTED:
        before = found.get(variable, around.get(variable, ""))
        found[variable] = f"{before}{between}{word}" if before else word
    return found


def refuse_elsewhere(library: str | None = None) -> None:
    """Raise CommandFault where the C library does not know how: to promise it there would be a lie."""
    found = platform.libc_ver()[0] if library is None else library
    if found != LIBRARY:
        raise CommandFault(
            f"GUESTPREFS_WIPE_FREED is on, and works with {LIBRARY} on Linux only, not with {found or 'this system'}. "
            "Turn it off, or use an image with glibc, such as the one this comes with."
        )
