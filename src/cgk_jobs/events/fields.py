"""Types of event fields that carry a unit: the unit reaches the JSON Schema as the field's description."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field, JsonValue

__all__ = [
    "DEFAULT_CURRENCY",
    "Bytes",
    "Cents",
    "Count",
    "Currency",
    "Days",
    "Hours",
    "JsonObject",
    "Ordinal",
    "Seconds",
]

DEFAULT_CURRENCY = "USD"
"""The currency of a catalogue event whose sender names none. A shop that sells in another one always names it."""

Cents = Annotated[
    int, Field(description="Money in integer minor units (cents, pence; whole yen) of the currency beside it.")
]
"""Money. The field's name ends in ``_cents`` and a ``currency`` stands beside it."""

Currency = Annotated[str, Field(pattern=r"^[A-Z]{3}$", description="Currency, ISO 4217, like USD.")]

Bytes = Annotated[int, Field(ge=0, description="Size in bytes.")]

Seconds = Annotated[float, Field(ge=0, description="Duration in seconds.")]

Hours = Annotated[int, Field(ge=0, description="Number of hours.")]

Days = Annotated[int, Field(ge=0, description="Number of days.")]

Count = Annotated[int, Field(ge=0, description="How many.")]

Ordinal = Annotated[int, Field(ge=1, description="Place in a sequence, the first is 1.")]

JsonObject = dict[str, JsonValue]
"""Free-form data: JSON values only, so that what a handler reads is what was sent. Not for money, times or secrets."""
