"""The ledger: who saw special-category data and who administered what, in chains that cannot be changed unnoticed."""
