"""What pydantic refuses, as one line for people."""

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from badc_core.validation import explain_invalid


class Inner(BaseModel):
    model_config = ConfigDict(extra="forbid")
    rate_hz: int = Field(1, ge=1)
    name: str = "x"


class Outer(BaseModel):
    model_config = ConfigDict(extra="forbid")
    inner: Inner = Inner()
    rows: list[Inner] = []
    needed: float


def explain(**content: object) -> str:
    try:
        Outer.model_validate({"needed": 1.0, **content})
    except ValidationError as error:
        return explain_invalid(error, Outer, "setting")
    raise AssertionError("it is valid")


def test_an_unknown_key_is_answered_with_those_there_are() -> None:
    assert explain(inner={"rat_hz": 1}) == "unknown setting inner.rat_hz; valid here: name, rate_hz"
    assert explain(outer=1) == "unknown setting outer; valid here: inner, needed, rows"


def test_a_missing_key_and_a_wrong_value_are_named_with_their_place() -> None:
    assert explain(needed="much") == "needed: must be a number, not 'much'"
    assert explain(inner={"rate_hz": 0}).endswith("must be greater than or equal to 1, not 0")
    assert explain(rows=[{}, {"name": 7}]) == "rows[1].name: must be text, not 7"
    assert explain(rows=7) == "rows: must be a list, not 7"


def test_a_thousand_problems_are_one_short_line() -> None:
    text = explain(rows=[{"name": 7}] * 1000)
    assert text.endswith("; and 995 more problems")
    assert len(text) < 300


def test_a_long_value_is_shortened() -> None:
    assert len(explain(needed="x" * 10_000)) < 100
