"""The domain: what is known about guests and what applies to them. Imports no web framework, ever."""
