"""The command ``cgk``. Importing the package does not import this; only the command needs click."""
