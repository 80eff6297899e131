UPDATE runs SET held_by = NULL WHERE held_by = ?
