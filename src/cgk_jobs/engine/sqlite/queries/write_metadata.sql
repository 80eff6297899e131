UPDATE runs SET metadata = ? WHERE seq = ? AND claim = ? AND state = 'running'
