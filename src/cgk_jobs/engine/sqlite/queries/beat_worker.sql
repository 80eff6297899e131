UPDATE workers SET beat_at = ? WHERE id = ?
