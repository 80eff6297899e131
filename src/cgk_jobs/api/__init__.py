"""The JSON API of an application: ``/api`` below wherever ``jobs.asgi()`` is mounted."""
