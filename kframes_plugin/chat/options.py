"""Options of a server as people write them: NAME=VALUE on a command line, or a mapping, checked by name and type."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import fields
from typing import Any

OF_THE_REQUEST = "options."
_KINDS: Mapping[str, tuple[type, ...]] = {
    "int": (int,),
    "float": (int, float),
    "bool": (bool,),
    "str | None": (str,),
    "Mapping[str, Any]": (Mapping,),
}


def read_options(texts: Iterable[str]) -> dict[str, Any]:
    """Options of a command line: "max_tokens=4000"; "options.top_p=0.9" is a field of the request itself.

    Values are JSON where they can be, else text.

    Raises:
        ValueError: not NAME=VALUE.
    """
    found: dict[str, Any] = {}
    for text in texts:
        name, mark, value = text.partition("=")
        if not mark or not name.strip():
            raise ValueError(f"an option of a server is written NAME=VALUE, such as max_tokens=4000; got {text!r}")
        name, read = name.strip(), _read(value)
        if name.startswith(OF_THE_REQUEST):
            found.setdefault("options", {})[name.removeprefix(OF_THE_REQUEST)] = read
        else:
            found[name] = read
    return found


def _read(value: str) -> Any:
    try:
        return json.loads(value)
    except (ValueError, RecursionError):
        return value


def check_options(kind: type, options: Mapping[str, Any], *, without: Iterable[str] = ()) -> dict[str, Any]:
    """The options, if a client of a kind takes them.

    Args:
        kind: the dataclass whose fields they are.
        options: by name.
        without: fields that cannot be chosen.

    Raises:
        ValueError: an unknown name, a value of another type, a number that is not > 0.
    """
    known = {item.name: str(item.type) for item in fields(kind) if item.init and item.name not in set(without)}
    for name, value in options.items():
        if name not in known:
            raise ValueError(
                f"unknown option {name!r} of a server; known are {', '.join(sorted(known))}; fields of the request "
                f"itself are written {OF_THE_REQUEST}NAME"
            )
        if not isinstance(value, _KINDS[known[name]]) or (isinstance(value, bool) and known[name] != "bool"):
            raise ValueError(f"{name} must be of the type {known[name]}; got {value!r}")
        if isinstance(value, int | float) and not isinstance(value, bool) and value <= 0 and name != "retries":
            raise ValueError(f"{name} must be > 0; got {value!r}")
    return dict(options)
