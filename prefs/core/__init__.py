"""The pure core: data in, data out, with no I/O, no clock and no logger, so that rules replay from files."""
