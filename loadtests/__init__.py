"""Load from four kinds of callers in the proportions of a hotel; `python -m loadtests.run` does the whole thing."""
