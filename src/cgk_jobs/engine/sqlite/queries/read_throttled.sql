SELECT at FROM throttles WHERE tenant_id = ? AND key = ? AND place = ?
