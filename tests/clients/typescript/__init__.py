"""The TypeScript SDK."""
