"""`python -m loadtests.bench`: measure, print every row of the budget with its verdict, leave an HTML report.

Nothing is asserted about times: the exit code is 0 when the run came to its end, whatever it found (`--strict` makes a
row that did not pass an exit code of 1).
"""

import argparse
import os
import re
import signal
import sys
import time
from pathlib import Path
from typing import NoReturn

from loadtests.bench import report
from loadtests.bench.budgets import BUDGETS, Verdict, table
from loadtests.bench.growth import FULL
from loadtests.bench.run import STORED, Wish, run

HERE = Path(__file__).resolve().parents[1]
README = HERE / "README.md"
_PLACE = re.compile(r"(<!-- bench -->\n).*?(<!-- /bench -->)", re.DOTALL)

EPILOG = """environment:
  GROWTH=full       also 1,000,000 stored guests, on SQLite and PostgreSQL (many minutes)
  GROWTH_DATA=folder  where stores of many guests are kept, to be used again as long as schema and guests stay the same
  PEERS=folder      compare with Kinto, PocketBase and Feast that live in this folder
  PEERS_UP=script   what starts them (default: peers-up.sh in that folder)

rows: """ + " ".join(budget.id for budget in BUDGETS)


def main() -> int:
    arguments = _arguments()
    full = os.environ.get("GROWTH") == "full"
    sizes = tuple(int(size) for size in arguments.sizes.split(",")) if arguments.sizes else (STORED, 100_000)
    engines = ("sqlite", "postgresql") if full else (arguments.growth_on,)
    wish = Wish(arguments.rows, arguments.rounds, arguments.seconds, (*sizes, FULL) if full else sizes, engines)
    begun = time.monotonic()

    def say(words: str) -> None:
        sys.stderr.write(f"{time.monotonic() - begun:6.0f} s  {words}\n")

    signal.signal(signal.SIGTERM, stopped)
    outcome = run(wish, say)
    for title, words, rows in report.sections(outcome)[1:]:
        sys.stdout.write(f"\n{title}. {words}\n{report.text(rows)}")
    sys.stdout.write("\n" + "\n".join(f"{name}: {said}" for name, said in outcome.facts.items()) + "\n")
    sys.stdout.write(" ".join(outcome.notes) + "\n\n" + table(outcome.judged))
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    arguments.out.write_text(report.html(outcome), encoding="utf-8")
    sys.stdout.write(f"\nReport: {arguments.out}\n")
    if arguments.readme:
        text = README.read_text(encoding="utf-8")
        README.write_text(_PLACE.sub(lambda m: m[1] + report.markdown(outcome) + m[2], text), encoding="utf-8")
    passed = all(row.verdict is Verdict.PASS for row in outcome.judged)
    return 1 if arguments.strict and not passed else 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m loadtests.bench",
        description="Measure guestprefs beside peers and limits, all started in this run on loopback.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--rows", default="", help="only rows whose id holds one of these texts: hot/,batch")
    parser.add_argument("--rounds", type=int, default=3, help="rounds of each group; the best counts (default: 3)")
    parser.add_argument("--seconds", type=float, default=2.0, help="length of one measurement (default: 2)")
    parser.add_argument("--sizes", default="", help=f"guests stored, rising from {STORED}: {STORED},100000")
    parser.add_argument("--growth-on", choices=("sqlite", "postgresql"), default="sqlite", help="(default: sqlite)")
    parser.add_argument("--out", type=Path, default=HERE / "report" / "bench.html", help="where the report goes")
    parser.add_argument("--readme", action="store_true", help="put the tables into loadtests/README.md")
    parser.add_argument("--strict", action="store_true", help="exit code 1 unless every row passed")
    return parser.parse_args()


def stopped(*_: object) -> NoReturn:
    """So that what was started is ended, too."""
    raise SystemExit(143)


if __name__ == "__main__":
    sys.exit(main())
