"""The client that a generator makes for Kotlin."""
