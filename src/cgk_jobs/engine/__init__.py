"""The ledger: the queue we own. ``store.py`` is its boundary, ``sqlite/`` its implementation."""
