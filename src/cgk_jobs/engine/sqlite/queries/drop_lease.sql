DELETE FROM seen_calls WHERE key = ?1 AND (?2 IS NULL OR until = ?2)
