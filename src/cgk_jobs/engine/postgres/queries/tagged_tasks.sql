SELECT task FROM cgk_jobs.subscriptions WHERE $1 = ANY (string_to_array(tags, ','))
