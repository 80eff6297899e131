-- All of a tenant's runs parked for this reason, as they will be claimed: higher priorities first.
SELECT seq, queue, lane, vstart FROM runs WHERE held_by = ? ORDER BY lane DESC, rank, vstart
