"""One file per kind of caller; `loadtests.mix` says how many of each there are and why."""
