SELECT seq FROM runs WHERE seq > ? AND seq < ? AND finished_at < ? ORDER BY seq LIMIT ?
