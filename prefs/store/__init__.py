"""Stores: the reference in memory, and SQL on PostgreSQL or SQLite with one set of queries."""
