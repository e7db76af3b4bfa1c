"""One file a migration, in order; each only ever adds to what the release before it can still use."""
