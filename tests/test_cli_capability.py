"""``safepickle capability``: what calling a name could do, in words and as JSON."""

from __future__ import annotations

import json

from tests.cli import run


def told(name: str) -> str:
    done = run("capability", name)
    assert done.returncode == 0, done.stderr.decode()
    return done.stdout.decode()


def test_a_root_sink_is_called_one_under_every_name() -> None:
    assert "root sink: it starts a process" in told("os.system")
    assert "root sink: it starts a process" in told("posix.system")
    assert "root sink: it runs Python code" in told("__builtin__.eval")


def test_what_is_inert_and_what_does_not_exist_is_said_in_words() -> None:
    assert "inert: it is fully understood" in told("zlib.crc32")
    assert "does not exist in any of these versions" in told("zlib.crc33")


def test_it_is_said_that_nothing_is_known_and_the_exit_code_is_3() -> None:
    done = run("capability", "nowhere_at_all.load")
    assert done.returncode == 3
    assert "nothing is known: its module was never analysed" in done.stdout.decode()
    assert json.loads(run("capability", "nowhere_at_all.load", "--json").stdout)["status"] == "unknown"


def test_how_many_sources_of_benign_models_use_it_is_counted() -> None:
    asked = json.loads(run("capability", "collections.OrderedDict", "--json").stdout)["benign_sources"]
    assert 50 < asked["using"] <= asked["of"]


def test_json_holds_the_reaches_with_their_flow() -> None:
    answer = json.loads(run("capability", "_socket.socket.connect", "--json").stdout)
    assert (answer["status"], answer["inert"]) == ("native", False)
    (reach,) = answer["reaches"]
    assert (reach["kind"], reach["flows"]) == ("network", True)


def test_what_is_no_name_is_a_usage_error_that_names_an_example() -> None:
    done = run("capability", "not a name")
    assert done.returncode == 2
    assert b"not a callable's full name" in done.stderr
