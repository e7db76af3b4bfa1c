"""The standard catalogue: complete, in six languages, silent about reasons, and refused when a file is wrong."""
