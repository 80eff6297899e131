SELECT 1 FROM runs WHERE seq = ? AND claim = ? AND state = 'completed' AND worker IS NULL
