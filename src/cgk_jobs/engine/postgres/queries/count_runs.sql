-- {where} and {finished} are fixed texts of reads.py.
SELECT r.state, count(*) FROM cgk_jobs.runs r WHERE {where} GROUP BY r.state
UNION ALL
SELECT r.state, count(*) FROM cgk_jobs.finished_runs r WHERE {where} AND {finished} GROUP BY r.state
