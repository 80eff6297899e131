"""Running one delivery, whoever delivered it. Knows no store and no provider."""
