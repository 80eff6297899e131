"""Background jobs for multi-tenant Python."""
