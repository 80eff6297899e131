UPDATE active_provider SET name = ?, draining = ?, version = version + 1 WHERE version = ?
