"""Tiers in front of the store: process memory, then Redis, then whatever store stands behind. See README.md here."""
