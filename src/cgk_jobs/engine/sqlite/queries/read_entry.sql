SELECT name, result, place, ordered, undoable, failed, pending FROM steps WHERE run_seq = ? AND name = ?
