"""How fast this machine is with this package: ``cgk jobs bench``. The only code beside ``clock.py`` that asks the time."""
