UPDATE runs SET cancel_asked = 1 WHERE seq = ? AND tenant_id = ? AND state = 'running'
