SELECT metadata FROM runs WHERE seq = ? AND claim = ? AND state = 'running'
