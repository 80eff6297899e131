"""Trigger.dev v4: wake-ups as runs of generated TypeScript tasks, which call the application, signed, when they are due."""
