UPDATE configuration SET version = version + 1
