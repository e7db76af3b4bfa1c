"""Envelope encryption: a data key per guest, wrapped by keys that come from a file, the environment or a KMS."""
