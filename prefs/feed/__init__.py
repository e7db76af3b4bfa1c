"""The feed as processes hear it."""
