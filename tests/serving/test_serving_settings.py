"""Settings from the environment."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import pytest

from serving.settings import Settings, SettingsError


def test_an_empty_environment_gives_the_defaults() -> None:
    assert Settings.from_environment({}) == Settings()


def test_a_variable_sets_its_field_in_the_field_s_type() -> None:
    settings = Settings.from_environment(
        {"SAFEPICKLE_MAX_BODY": "10", "SAFEPICKLE_SCAN_TIMEOUT": "1.5", "SAFEPICKLE_ANONYMOUS_SCAN": "Yes"}
    )
    assert (settings.max_body, settings.scan_timeout, settings.anonymous_scan) == (10, 1.5, True)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("MAX_BODY", "many"),
        ("MAX_BODY", "1.5"),
        ("MAX_BODY", "0"),
        ("WORKERS", "-1"),
        ("SCAN_TIMEOUT", "nan"),
        ("SCAN_TIMEOUT", "inf"),
        ("ANONYMOUS_SCAN", "perhaps"),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_the_variable_s_name(name: str, value: str) -> None:
    with pytest.raises(SettingsError, match=f"SAFEPICKLE_{name}"):
        Settings.from_environment({f"SAFEPICKLE_{name}": value})


def test_secrets_do_not_show_when_settings_are_printed() -> None:
    assert "hidden" not in repr(Settings(admin_key="hidden-1", key_pepper="hidden-2"))


def test_every_setting_is_documented_with_its_default() -> None:
    text = (Path(__file__).parents[2] / "docs" / "serving.md").read_text()
    for field in dataclasses.fields(Settings):
        assert f"`SAFEPICKLE_{field.name.upper()}`" in text
