-- The moment until which it is held identifies who holds it: a later one always has a later moment.
INSERT INTO seen_calls (key, until) VALUES (?1, ?2)
ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE seen_calls.until <= ?3
RETURNING until
