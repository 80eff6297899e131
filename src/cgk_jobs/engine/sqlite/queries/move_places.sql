-- Another share: what waits beyond the queue's now comes closer together, or further apart.
UPDATE runs SET vstart = :now + (vstart - :now) * :ratio WHERE tenant_id = :tenant AND queue = :queue AND state = 'queued' AND vstart > :now
