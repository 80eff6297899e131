"""The catalogue: one module per category, one class per event."""
