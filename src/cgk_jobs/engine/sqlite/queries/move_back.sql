-- Runs of higher priority went ahead: the run takes the place they pushed it to.
UPDATE runs SET vstart = ?, jumped = ? WHERE seq = ?
