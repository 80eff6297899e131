UPDATE wakeups SET reference = :reference, refused = :refused, rings_at = max(due_at, :now) WHERE id = :id AND provider = :provider
