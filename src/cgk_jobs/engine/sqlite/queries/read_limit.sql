SELECT capacity, used, starts FROM limits WHERE key = ?
