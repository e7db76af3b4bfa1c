"""`python -m loadtests.bench.serving APPLICATION PORT [DATA]`: another application on the very server of guestprefs.

The limits that guestprefs is compared with must not run on other settings of the server than it does, whatever those
are. So they are served by its own supervisor, which is the only place that knows them.
"""

import sys
from pathlib import Path

from api.cli import running, supervisor
from prefs import telemetry
from prefs.settings import Settings


def main() -> int:
    application, port, *data = sys.argv[1:]
    if data:  # an application that wraps the service itself
        return running.run(Settings(port=int(port), data=Path(data[0])), application=application)
    settings = Settings(port=int(port), log_level="warning")
    telemetry.configure(settings.log_level)
    return supervisor.serve(settings, lambda: None, application)


if __name__ == "__main__":
    sys.exit(main())
