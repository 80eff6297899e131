SELECT count(*) FROM runs WHERE held_by = ?
