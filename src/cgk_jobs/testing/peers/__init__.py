"""Servers on this machine that behave as a vendor's service does, for tests: they check what they are sent, and call back."""
