"""Tests of `prefs/services/`."""
