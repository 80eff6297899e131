SELECT tenant_id, task, event_name, state, count(*), sum(attempt - 1) FROM runs GROUP BY tenant_id, task, event_name, state
