"""Bytes, no policy."""
