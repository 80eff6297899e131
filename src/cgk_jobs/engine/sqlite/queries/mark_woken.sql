UPDATE runs SET woken = 1 WHERE seq = ?
