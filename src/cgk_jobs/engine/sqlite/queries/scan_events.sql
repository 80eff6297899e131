-- Events from before their kind of wait was known; each is there once for every task that listened.
SELECT event_seq, nonce, event_version, payload FROM runs
WHERE tenant_id = :tenant AND seq > :after AND seq <= :last AND event_seq > :after AND event_name = :event AND direct = 0
    AND (flow_key IS NULL OR flow_key NOT GLOB 'batch:*')
UNION ALL
SELECT seq, nonce, version, payload FROM unrouted_events WHERE seq > :after AND seq <= :last AND tenant_id = :tenant AND name = :event
ORDER BY 1
