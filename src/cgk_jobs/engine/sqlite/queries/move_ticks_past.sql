-- A tick half fired has come as far as this tenant: it goes on behind the one before it, as a tick is never fired twice for anybody.
UPDATE schedules SET after_tenant = (SELECT max(id) FROM tenants WHERE id < :tenant) WHERE after_tenant = :tenant
