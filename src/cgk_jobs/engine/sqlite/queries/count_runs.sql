SELECT state, count(*) FROM runs WHERE {where} GROUP BY state
