"""The HTTP face and the command line: they translate to and from the services of `prefs` and decide nothing."""
