SELECT min(due_at) FROM runs WHERE due_at IS NOT NULL
