DELETE FROM paused WHERE kind = ? AND name = ?
