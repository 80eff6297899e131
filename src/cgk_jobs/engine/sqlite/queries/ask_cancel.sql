UPDATE runs SET cancel_asked = 1 WHERE seq = ? AND state = 'running'
