"""OpenFeature's own SDKs and OFREP providers, unmodified, read from a real server."""
