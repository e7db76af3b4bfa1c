"""ADAPTER: signed receipts."""
