-- A tick half fired has come as far as this tenant: it goes on behind the one before it, as a tick is never fired twice for anybody.
UPDATE cgk_jobs.schedules SET after_tenant = (SELECT max(id COLLATE "C") FROM cgk_jobs.tenants WHERE id COLLATE "C" < $1)
WHERE after_tenant = $1
