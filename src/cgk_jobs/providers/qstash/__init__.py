"""Upstash QStash: wake-ups as messages with a delay, which the vendor posts to the application when they are due."""
