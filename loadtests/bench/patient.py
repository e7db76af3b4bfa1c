"""The service as it runs inside valgrind, which makes it some fifty times slower: it waits for Redis accordingly.

Otherwise it would give every exchange up after its 20 ms, and what is counted would be another path. Nothing else is
different; `serving.py` puts it on the server.
"""

from api.app import Application, create_app
from prefs.cache import lines

SLOWER = 200


def patient() -> Application:
    lines.SLICE_S *= SLOWER
    return create_app()
