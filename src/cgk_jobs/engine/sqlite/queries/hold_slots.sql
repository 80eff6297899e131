UPDATE runs SET slots = ? WHERE seq = ?
