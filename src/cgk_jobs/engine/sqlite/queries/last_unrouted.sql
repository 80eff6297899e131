SELECT max(seq) FROM unrouted_events
