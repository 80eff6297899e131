SELECT name, draining, version FROM active_provider
