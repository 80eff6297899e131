DELETE FROM rewrites_owed
