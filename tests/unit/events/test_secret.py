import json
from datetime import UTC, datetime
from typing import Annotated, Any

import pytest
from pydantic import BaseModel, Field

from cgk_jobs.errors import InvalidEvent
from cgk_jobs.events import Event, Secret, mask
from cgk_jobs.events.codec import decode, encode
from cgk_jobs.events.secret import MASKED


class Login(BaseModel):
    user: str
    password: Annotated[str, Secret]


class Connected(Event, name="test.connected"):
    shop: str
    at: datetime
    token: Annotated[str, Secret, Field(min_length=3)]
    pin: Annotated[int | None, Secret] = None
    old_tokens: list[Annotated[str, Secret]] = Field(default_factory=list)
    by_region: dict[str, Annotated[str, Secret]] = Field(default_factory=dict)
    backup: Annotated[str, Secret] | None = None
    login: Login | None = None
    spare: Annotated[Login | None, Secret] = None


AT = datetime(2026, 1, 1, tzinfo=UTC)
FULL = Connected(
    tenant_id="acme",
    shop="acme.example",
    at=AT,
    token="hunter-1",
    pin=4711,
    old_tokens=["hunter-2", "hunter-3"],
    by_region={"eu": "hunter-4"},
    backup="hunter-5",
    login=Login(user="ann", password="hunter-6"),
    spare=Login(user="bob", password="hunter-7"),
)


def test_mask_replaces_every_secret_wherever_it_stands() -> None:
    assert mask(FULL) == {
        "tenant_id": "acme",
        "shop": "acme.example",
        "at": "2026-01-01T00:00:00Z",
        "token": MASKED,
        "pin": MASKED,
        "old_tokens": [MASKED, MASKED],
        "by_region": {"eu": MASKED},
        "backup": MASKED,
        "login": {"user": "ann", "password": MASKED},
        "spare": MASKED,
    }


@pytest.mark.parametrize("show", [repr, str, lambda event: f"{event}", lambda event: f"{[event]!r}"])
def test_what_is_logged_shows_no_secret(show: Any) -> None:
    text = show(FULL)
    assert "hunter" not in text
    assert "4711" not in text
    assert "shop='acme.example', at=datetime.datetime(2026" in text or "shop='acme.example' at=datetime" in text


def test_without_a_secret_repr_is_as_ever() -> None:
    event = Connected(tenant_id="acme", shop="s", at=AT, token="hunter-1", login=None)
    assert mask(event)["pin"] is None
    assert "pin=None, old_tokens=[], by_region={}, backup=None, login=None" in repr(event)


def test_a_secret_is_stored_and_read_as_it_is() -> None:
    text = encode(FULL)
    assert json.loads(text)["token"] == "hunter-1"
    assert decode(Connected, 1, text) == FULL
    assert FULL.model_dump()["login"]["password"] == "hunter-6"
    # A context of the caller's own asks for nothing.
    assert FULL.model_dump(context=MASKED)["token"] == "hunter-1"


def test_a_secret_is_still_checked_and_its_value_is_left_out_of_the_error() -> None:
    with pytest.raises(InvalidEvent, match=r"token: .* at least 3") as refused:
        Connected(tenant_id="acme", shop="s", at=AT, token="h9")
    assert "h9" not in str(refused.value)
    with pytest.raises(InvalidEvent, match="pin"):
        Connected(tenant_id="acme", shop="s", at=AT, token="hunter-1", pin="4711")  # type: ignore[arg-type]


def test_the_schema_shows_secrets_as_write_only() -> None:
    schema = Connected.json_schema()
    fields = schema["properties"]
    assert fields["token"]["writeOnly"] is True
    assert fields["token"]["minLength"] == 3
    assert fields["pin"]["writeOnly"] is True
    assert fields["old_tokens"]["items"]["writeOnly"] is True
    assert schema["$defs"]["Login"]["properties"]["password"]["writeOnly"] is True
    assert "writeOnly" not in fields["shop"]
    assert "writeOnly" not in schema["$defs"]["Login"]["properties"]["user"]
