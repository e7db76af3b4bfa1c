"""One resource a file. A route parses, makes one service call and encodes; what is allowed is decided below it."""
