SELECT seq FROM cgk_jobs.runs WHERE worker = $1 AND cancel_asked ORDER BY seq
