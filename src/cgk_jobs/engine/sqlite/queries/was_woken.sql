SELECT woken FROM runs WHERE seq = ? AND claim = ?
