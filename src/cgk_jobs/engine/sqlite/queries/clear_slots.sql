UPDATE runs SET slots = NULL WHERE seq = ?
