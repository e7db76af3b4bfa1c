"""The SDKs: one contract that each of them keeps, and what each has of its own."""
