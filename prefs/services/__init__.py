"""Use cases: each service gathers facts through the ports, asks the core to decide, and returns plain JSON bodies."""
