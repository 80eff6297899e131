SELECT cgk_jobs.drop_days($1)
