UPDATE runs SET progress = ? WHERE seq = ? AND claim = ? AND state = 'running'
