"""What the ledger tells Prometheus: records, groups, how long an answer waited, and what could not be recorded."""

from prometheus_client import Counter, Histogram

from prefs.telemetry import BUCKETS, Tally

_ROWS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)

RECORDS = Tally(Counter("guestprefs_ledger_records", "Records that became durable."))
FAILED = Counter("guestprefs_ledger_failed", "Records that could not be written; what they were for was withheld.")
GROUP = Histogram("guestprefs_ledger_group_records", "Records that became durable together.", buckets=_ROWS)
WAIT_SECONDS = Histogram("guestprefs_ledger_wait_seconds", "Time an answer waited for its record.", buckets=BUCKETS)
BROKEN = Counter("guestprefs_ledger_broken_chains", "Chains this process found cut or changed and does not go on with.")
