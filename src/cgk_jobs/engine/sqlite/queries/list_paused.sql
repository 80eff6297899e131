SELECT kind, name, paused_at FROM paused ORDER BY kind, name
