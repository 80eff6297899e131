-- Given up. INDEXED BY: the entries of one provider, as few as may be handed over.
UPDATE wakeups INDEXED BY wakeups_handed SET obsolete = 1
WHERE provider = :provider AND obsolete = 0 AND due_at <= :before AND rings_at <= :before
RETURNING tenant_id, run_seq
