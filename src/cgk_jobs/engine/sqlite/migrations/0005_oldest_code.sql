-- Oldest code: schema 4. Code of an older release that may work with the ledger, so that a deploy need not stop everything.

-- A migration that is not here has no code older than itself.
CREATE TABLE oldest_code (schema INTEGER PRIMARY KEY, code INTEGER NOT NULL);
