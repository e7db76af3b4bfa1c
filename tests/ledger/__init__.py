"""The ledger: its chains, its second place, and what may not go unnoticed."""
