"""Tests of `prefs/core/`."""
