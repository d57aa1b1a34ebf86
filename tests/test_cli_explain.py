"""``safepickle explain`` and ``safepickle trace``: what loading would do, in words and as JSON."""

from __future__ import annotations

import collections
import decimal
import json
import pickle
from pathlib import Path

from safepickle.bytecode.trace import FileTrace
from tests.cli import BENIGN, HOSTILE, TRUNCATED, run, write


def explained(data: bytes, folder: Path) -> str:
    return run("explain", write(folder, model=data) / "model.pkl").stdout.decode()


def test_explain_names_the_call_its_argument_and_what_it_does(tmp_path: Path) -> None:
    done = run("explain", write(tmp_path, model=HOSTILE) / "model.pkl")
    text = done.stdout.decode()
    (call,) = [line for line in text.splitlines() if line.startswith("  calls ")]
    assert "system('echo inert')" in call
    assert "process" in call or "command" in call
    assert "Verdict: malicious" in text
    assert done.returncode == 1


def test_explain_tells_calls_in_the_order_in_which_they_happen(tmp_path: Path) -> None:
    second = b"cbuiltins\neval\n(S'1'\ntR0"
    text = explained(HOSTILE[:-1] + b"0" + second + HOSTILE[2:], tmp_path)
    calls = [line.split("(")[0].split(".")[-1] for line in text.splitlines() if line.startswith("  calls ")]
    assert calls[:2] == ["system", "eval"]


def test_explain_counts_usual_objects_instead_of_listing_them(tmp_path: Path) -> None:
    many = [collections.OrderedDict(a=1) for _ in range(401)]
    text = explained(pickle.dumps(many, protocol=4), tmp_path)
    assert "makes 401 ordered dictionaries" in text
    assert text.count("ordered dictionar") == 1


def test_explain_says_of_plain_data_that_nothing_is_called(tmp_path: Path) -> None:
    assert "builds plain data and calls nothing" in explained(BENIGN, tmp_path)


def test_explain_says_where_understanding_ends(tmp_path: Path) -> None:
    done = run("explain", write(tmp_path, model=TRUNCATED) / "model.pkl")
    assert b"is not understood from byte " in done.stdout
    assert done.returncode == 3


def test_trace_is_a_trace_and_holds_no_literal_unless_asked(tmp_path: Path) -> None:
    file = write(tmp_path, model=HOSTILE) / "model.pkl"
    redacted, whole = run("trace", file), run("trace", "--literals", file)
    assert redacted.returncode == whole.returncode == 0
    assert b"echo inert" not in redacted.stdout
    assert b"echo inert" in whole.stdout
    trace = FileTrace.from_json(whole.stdout.decode())
    assert trace.size == len(HOSTILE)
    assert FileTrace.from_json(redacted.stdout.decode()) == trace.redacted()
    assert json.loads(redacted.stdout)["streams"][0]["calls"][0]["callee"]["name"].endswith("system")


def test_trace_of_an_incomplete_file_is_printed_and_ends_with_3(tmp_path: Path) -> None:
    done = run("trace", write(tmp_path, model=TRUNCATED) / "model.pkl")
    assert done.returncode == 3
    assert json.loads(done.stdout)["complete"] is False


def test_trace_and_explain_of_a_missing_file_end_with_2_and_name_it(tmp_path: Path) -> None:
    for command in ("trace", "explain"):
        done = run(command, tmp_path / "missing.pkl")
        assert (done.returncode, done.stdout) == (2, b"")
        assert b"missing.pkl" in done.stderr


def test_explain_of_objects_of_the_standard_library_names_their_classes(tmp_path: Path) -> None:
    assert "decimal.Decimal" in explained(pickle.dumps([decimal.Decimal("1.5")] * 2, protocol=4), tmp_path)
