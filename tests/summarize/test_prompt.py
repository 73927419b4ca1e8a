"""Prompts have versions, and a change of one raises it."""

from __future__ import annotations

from typing import get_args

from tasks.summarize.answers import FORMS, schema
from tasks.summarize.prompt import Name, load

# name -> (version, start of the file's sha256). When this fails: raise the version in the file's first line, so that
# it can be told which prompt wrote a summary, and record both here.
KNOWN = {
    "text": (2, "41e486d4f9d96542"),
    "table": (2, "3e97c04c3597da96"),
    "image": (2, "ed01bc2ff35bca99"),
    "repair": (1, "5ec784449b600857"),
}


def test_a_changed_prompt_has_a_new_version() -> None:
    assert {name: (load(name).version, load(name).digest[:16]) for name in get_args(Name)} == KNOWN


def test_prompts_name_the_marks_and_every_field() -> None:
    for kind, form in FORMS.items():
        text = load(kind).text
        assert text.count("{begin}") == text.count("{end}") == 1
        for field in form.model_fields:
            assert f'"{field}"' in text
    assert load("repair").text.count("{reason}") == 1


def test_schemas_are_what_strict_endpoints_take() -> None:
    for kind, form in FORMS.items():
        found = schema(kind).json_schema
        assert set(found) == {"type", "properties", "required", "additionalProperties"}
        assert found["required"] == list(found["properties"]) == list(form.model_fields)
        assert found["additionalProperties"] is False
        for value in found["properties"].values():
            assert set(value) <= {"type", "items", "enum"}
