"""The guide: a page for each task of whoever builds on the service."""
