SELECT length(CAST(payload AS BLOB)) FROM runs WHERE seq = ? AND tenant_id = ?
