"""The HTTP face, driven over ASGI with real tokens, on the memory store, on SQLite and on PostgreSQL."""
