UPDATE runs SET held_by = ? WHERE seq = ?
