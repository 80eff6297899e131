UPDATE runs SET held_by = ?, vstart = ?, jumped = ? WHERE seq = ?
