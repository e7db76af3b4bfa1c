"""Webhooks: where they may go, and what is told to whom, in which order and how often."""
