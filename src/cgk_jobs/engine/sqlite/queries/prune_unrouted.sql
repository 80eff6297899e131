DELETE FROM unrouted_events WHERE seq < ?
