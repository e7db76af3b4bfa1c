"""The command line, the other face of the house: it may use everything below it, and nothing uses it."""
