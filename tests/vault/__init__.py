"""Tests of the vault: keys, where they come from, and what they seal."""
