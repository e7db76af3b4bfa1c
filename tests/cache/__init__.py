"""Tests of the tiers: each on its own, together under faults, and their protocol as a model."""
