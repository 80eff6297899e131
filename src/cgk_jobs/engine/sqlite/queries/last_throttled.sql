SELECT ifnull(max(place), 0) FROM throttles WHERE tenant_id = ? AND key = ?
