"""The OpenAPI 3.1 document, made from the table of routes."""

from __future__ import annotations

import re
from typing import Any

from pydantic import BaseModel
from pydantic.json_schema import models_json_schema

from cgk_jobs.api.models import Empty, Nothing, Problem
from cgk_jobs.api.routing import Route

__all__ = ["document"]

_REF = "#/components/schemas/{model}"


def document(routes: tuple[Route, ...], version: str) -> dict[str, Any]:
    """What the routes take and answer."""
    models = {model for route in routes for model in (route.query, route.body, route.answer) if model is not None}
    models = (models | {Problem}) - {Nothing, Empty}
    ordered: list[type[BaseModel]] = sorted(models, key=lambda model: model.__name__)
    _, definitions = models_json_schema([(model, "validation") for model in ordered], ref_template=_REF)
    schemas: dict[str, Any] = definitions["$defs"]
    paths: dict[str, Any] = {}
    for route in routes:
        paths.setdefault("/api" + route.path, {})[route.method.lower()] = _operation(route, schemas)
    return {
        "openapi": "3.1.0",
        "info": {"title": "cgk-jobs", "version": version},
        "paths": paths,
        "components": {
            "schemas": schemas,
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}},
        },
        "security": [{"token": []}],
    }


def _operation(route: Route, schemas: dict[str, Any]) -> dict[str, Any]:
    words = [word for word in re.split(r"[^a-z]+", f"{route.method} {route.path}".lower()) if word]
    parameters = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in re.findall(r"{(\w+)}", route.path)
    ]
    if route.query is not Nothing:
        shape = schemas[route.query.__name__]
        parameters += [
            {"name": name, "in": "query", "required": name in shape.get("required", ()), "schema": schema}
            for name, schema in shape["properties"].items()
        ]
    if route.path == "/events" and route.method == "POST":
        parameters.append({"name": "Idempotency-Key", "in": "header", "required": False, "schema": {"type": "string"}})
    kind = "text/event-stream" if route.stream else "application/json"
    shown: dict[str, Any] = {} if route.answer is None else {"$ref": _REF.format(model=route.answer.__name__)}
    whole = ", for all tenants" if route.whole else ""
    operation: dict[str, Any] = {
        "operationId": "_".join(words),
        "summary": route.summary,
        "description": f"Needs the action `{route.action}`{whole}.",
        "parameters": parameters,
        "responses": {
            str(route.status): {"description": "Done.", "content": {kind: {"schema": shown}}},
            "default": {
                "description": "Refused, with the reason.",
                "content": {"application/problem+json": {"schema": {"$ref": _REF.format(model=Problem.__name__)}}},
            },
        },
    }
    if route.body is not Empty:
        body = {"$ref": _REF.format(model=route.body.__name__)}
        operation["requestBody"] = {"required": True, "content": {"application/json": {"schema": body}}}
    return operation
