"""What every settings file shares: the words for values, and how mistakes are told, all at once."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Annotated, Any, TypeVar, get_args

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from mlops_tui.errors import InvalidInput, NotFound, near_miss
from mlops_tui.names import check_name, parse_duration

LONGEST = "3650d"


def _check_duration(text: str) -> str:
    parse_duration(text)
    return text


def _check_span(text: str) -> str:
    if parse_duration(text) > parse_duration(LONGEST):
        raise ValueError(f"{text!r} is too long; {LONGEST} at most")
    return text


Name = Annotated[str, AfterValidator(check_name)]
Duration = Annotated[str, AfterValidator(_check_duration)]
Span = Annotated[str, AfterValidator(_check_span)]  # a duration that moments are moved by
Share = Annotated[float, Field(ge=0, le=1)]


class Settings(BaseModel):
    """A section: unknown keys are mistakes, values cannot change, numbers are finite."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True, allow_inf_nan=False)


M = TypeVar("M", bound=Settings)


def load(path: Path, model: type[M]) -> M:
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise NotFound(f"no file {path}") from None
    except (UnicodeDecodeError, IsADirectoryError) as error:
        raise InvalidInput(f"{path} is not a text file: {error}") from None
    try:
        return model.model_validate(tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(f"{path} is not TOML: {error}") from None
    except ValidationError as error:
        lines = [_mistake(model, item) for item in error.errors()]
        head = f"{path} has {len(lines)} mistakes:\n  " if len(lines) > 1 else f"{path}: "
        raise InvalidInput(head + "\n  ".join(lines), "docs/pipeline-file.md lists every key") from None


def _mistake(model: type[Settings], item: Any) -> str:
    """One mistake of pydantic's list in our words: key, what was found, what is allowed."""
    location = [str(part + 1) if isinstance(part, int) else part for part in item["loc"]]
    key = ".".join(location) or "the file"
    match item["type"]:
        case "extra_forbidden":
            return f"{key}: unknown key{near_miss(location[-1], _keys_at(model, item['loc'][:-1]))}"
        case "missing":
            return f"{key}: is missing"
        case "value_error":
            return f"{key}: {item['ctx']['error']}" if location else str(item["ctx"]["error"])
        case _:
            found = f"found {item['input']!r}" if not isinstance(item["input"], dict) else "found a table"
            return f"{key}: {found}; {item['msg'][0].lower()}{item['msg'][1:]}"


def _keys_at(model: type[Settings], location: tuple[str | int, ...]) -> list[str]:
    """The keys that are allowed at a place of the file."""
    fields = model.model_fields
    for part in location:
        if isinstance(part, int) or part not in fields:
            continue
        kinds = [fields[part].annotation, *get_args(fields[part].annotation)]
        kinds += [inner for kind in kinds for inner in get_args(kind)]
        fields = next((k.model_fields for k in kinds if isinstance(k, type) and issubclass(k, Settings)), {})
    return list(fields)
