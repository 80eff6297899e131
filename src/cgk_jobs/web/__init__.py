"""What ``jobs.asgi()`` serves."""
