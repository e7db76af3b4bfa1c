"""The test suite. It mirrors `prefs/` and `api/`; `servers.py` starts the real servers that it needs."""
