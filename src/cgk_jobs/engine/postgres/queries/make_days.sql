SELECT cgk_jobs.make_days($1)
