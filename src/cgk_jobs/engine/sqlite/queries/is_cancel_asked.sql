SELECT 1 FROM runs WHERE seq = ? AND claim = ? AND state = 'running' AND cancel_asked = 1
