"""The ledger on SQLite: standard library driver, one file, several processes of one machine."""
