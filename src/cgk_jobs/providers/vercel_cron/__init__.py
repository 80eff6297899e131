"""Vercel Cron: a clock that calls the application, which then fires its schedules and works off what is due."""
