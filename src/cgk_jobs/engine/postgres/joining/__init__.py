"""Statements in the application's own transaction: sends that are committed with it, and steps that are journalled with it.

``connections.py`` knows the application's connection, of whichever driver or framework. ``binding.py`` sees that it leads to this
ledger and binds the tenant for as long as our statements run. ``sending.py`` and ``steps.py`` say what these are.
"""
