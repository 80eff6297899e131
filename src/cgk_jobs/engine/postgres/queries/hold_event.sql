-- Who begins to wait: whoever sends this event at the moment is waited for, and who sends it next finds the wait.
SELECT pg_advisory_xact_lock(1668050551, (hashtextextended($1::text, 0) & ($2::integer - 1))::integer)
