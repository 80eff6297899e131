UPDATE limits SET starts = starts + 1 WHERE key = ?
