UPDATE clocks SET value = :now + (value - :now) * :ratio WHERE tenant_id = :tenant AND queue = :queue AND value > :now
