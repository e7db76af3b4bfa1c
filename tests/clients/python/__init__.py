"""The Python SDK: its adapter to the contract, and its own tests against the real service."""
