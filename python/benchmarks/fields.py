"""The fields of a JSON object, read one by one, with complaints that say where, what was expected and what came."""

import json
from collections.abc import Callable
from typing import Any, Optional

from trec.errors import TrecError

# Says what it expects by its name, and returns whether a value is that.
Check = Callable[[Any], Optional[str]]
_MISSING = object()


class CaseError(TrecError, ValueError):
    """A case file that cannot be run."""


def integer(low: int) -> Check:
    def check(value: Any) -> Optional[str]:
        good = isinstance(value, int) and not isinstance(value, bool) and value >= low
        return None if good else f"an integer of at least {low}"

    return check


def number(low: float) -> Check:
    def check(value: Any) -> Optional[str]:
        good = isinstance(value, (int, float)) and not isinstance(value, bool) and value >= low
        return None if good else f"a number of at least {low:g}"

    return check


def choice(*names: str) -> Check:
    def check(value: Any) -> Optional[str]:
        return None if value in names else f"one of {', '.join(names)}"

    return check


def flag(value: Any) -> Optional[str]:
    return None if isinstance(value, bool) else "true or false"


def text(value: Any) -> Optional[str]:
    return None if isinstance(value, str) else "a string"


def numbers(value: Any) -> Optional[str]:
    is_number = number(0)
    good = isinstance(value, list) and not any(map(is_number, value))
    return None if good else "a list of numbers of at least 0"


class Fields:
    def __init__(self, values: dict[str, Any], place: str, prefix: str = "") -> None:
        self._values = values
        self._place = place
        self._prefix = prefix
        self._known: set[str] = set()

    def wrong(self, name: str, expected: str, got: Any) -> CaseError:
        return CaseError(f"{self._place}: {self._prefix}{name}: expected {expected}, got {json.dumps(got)}")

    def check(self, name: str, check: Optional[Check], value: Any) -> Any:
        expected = check(value) if check else None
        if expected:
            raise self.wrong(name, expected, value)
        return tuple(value) if check is numbers else value

    def get(self, name: str, check: Optional[Check], default: Any = _MISSING) -> Any:
        """The field, checked where there is a check; the default is not."""
        self._known.add(name)
        if name in self._values:
            return self.check(name, check, self._values[name])
        if default is _MISSING:
            raise CaseError(f"{self._place}: {self._prefix}{name}: missing")
        return default

    def part(self, name: str, default: Any = _MISSING) -> "Fields":
        """The object in a field."""
        value = self.get(name, None, default)
        if not isinstance(value, dict):
            raise self.wrong(name, "an object", value)
        return Fields(value, self._place, f"{self._prefix}{name}.")

    def parts(self, name: str) -> list["Fields"]:
        """The objects of a list that is not empty."""
        values = self.get(name, None)
        if not isinstance(values, list) or not values or not all(isinstance(value, dict) for value in values):
            raise self.wrong(name, "a list of objects that is not empty", values)
        return [Fields(value, self._place, f"{self._prefix}{name}[{i}].") for i, value in enumerate(values)]

    def finish(self) -> None:
        """Complains about fields that nobody asked for: a mistyped name must not fall back to a default."""
        for name in self._values:
            if name not in self._known:
                known = ", ".join(sorted(self._known))
                raise CaseError(f"{self._place}: {self._prefix}{name}: unknown, expected one of {known}")
