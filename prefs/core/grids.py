"""Tables written as text, so that people can read down a column: their rows by the words of the first line."""

from collections.abc import Iterator


def rows(table: str) -> Iterator[dict[str, str]]:
    """Rows of a table by the words of its first line. Columns begin where those words begin."""
    first, _, *lines = table.strip("\n").splitlines()
    names = first.split()
    starts = [0]
    for name in names[1:]:
        starts.append(first.index(f" {name}", starts[-1]) + 1)
    for line in lines:
        ends = [*starts[1:], None]
        row = {name: line[start:end].strip() for name, start, end in zip(names, starts, ends, strict=True)}
        if not all(row.values()):
            raise ValueError(f"a cell is empty in the row {line!r}")
        yield row


def one_each(table: str, name: str, column: str) -> dict[str, str]:
    found = {row[name]: row[column] for row in rows(table)}
    if len(found) != len(list(rows(table))):
        raise ValueError(f"a row stands twice among {', '.join(found)}")
    return found
