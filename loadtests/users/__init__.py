"""One kind of caller a file."""
