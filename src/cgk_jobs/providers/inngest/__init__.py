"""Inngest: each wake-up is an event, whose function at Inngest calls the application when it is due."""
