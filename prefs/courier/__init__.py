"""Brings messages to receivers outside: the only place of this package that connects to somebody else's address."""
