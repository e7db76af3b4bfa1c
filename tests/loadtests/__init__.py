"""Tests of the load tests' own arithmetic: a wrong ruler measures everything wrong."""
