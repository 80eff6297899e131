SELECT seq FROM runs WHERE expires_at <= ? AND state IN ('scheduled', 'queued', 'retrying') LIMIT 500
