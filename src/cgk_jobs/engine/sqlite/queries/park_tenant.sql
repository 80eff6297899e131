UPDATE runs SET held_by = ? WHERE tenant_id = ? AND state = 'queued' AND held_by IS NULL
