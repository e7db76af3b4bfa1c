"""Shapes on the wire: request models, response shapes, problem documents, and the JSON reader and writer."""
