"""FENCE + LEASE as a small state machine, and a search through everything it can do.

`states` holds what there is, `rules` the protocol's rules with a switch for each, `writing`, `reading` and
`surroundings` the steps of writers, of readers and of all that happens around them, `exploration` the breadth-first
search, `settings` and `mutants` what is searched. `python -m tests.cache.model` tells each mutant's shortest story.

The model is about one guest, for keys do not touch each other. Three choices make it both small and strict:

- Only writes are counted. Readers read for ever, and every fault that a configuration allows may strike any number of
  times at any moment; the number of states is finite because nothing else counts up.
- A promise binds from the earliest moment it could: a write is acknowledged in the same step as its UNFENCE, a read
  returns in the step that learns its value. A read begins as late as it could, with its GET. Reality promises less.
- Real time stands in the model only as an order. Where safety rests on a duration (a fence outlives its transaction,
  a cold Redis outlives both that and a lease), the later event waits for the earlier one; nothing else is timed.
"""
