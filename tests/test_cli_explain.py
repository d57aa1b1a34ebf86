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


def statements(text: str) -> list[str]:
    """The lines of pseudo-Python, without their comments."""
    lines = text.partition("\nVerdict:")[0].splitlines()
    return [line.strip().partition("  # @")[0] for line in lines if line.strip() and not line.strip().startswith("#")]


def test_explain_writes_the_call_with_its_argument_offset_and_effect(tmp_path: Path) -> None:
    done = run("explain", write(tmp_path, model=HOSTILE) / "model.pkl")
    text = done.stdout.decode()
    (call,) = [line for line in text.splitlines() if "os.system(" in line and "# @" in line]
    assert call == "v0 = os.system('echo inert')  # @29  ← starts a process [critical]"
    assert "Verdict: malicious" in text
    assert "rule call-process" in text
    assert done.returncode == 1


def test_explain_tells_calls_in_the_order_in_which_they_happen(tmp_path: Path) -> None:
    second = b"cbuiltins\neval\n(S'1'\ntR0"
    text = explained(HOSTILE[:-1] + b"0" + second + HOSTILE[2:], tmp_path)
    assert statements(text)[:2] == ["os.system('echo inert')", "builtins.eval('1')"]


def test_explain_shows_statements_alike_once_and_counts_them(tmp_path: Path) -> None:
    many = [collections.OrderedDict(a=1) for _ in range(401)]
    text = explained(pickle.dumps(many, protocol=4), tmp_path)
    assert text.count("collections.OrderedDict()") == 1
    assert "400 more like this" in text


def test_explain_of_plain_data_shows_what_is_returned(tmp_path: Path) -> None:
    (only,) = statements(explained(BENIGN, tmp_path))
    assert only == "return {'weights': [0.1, 0.2, 0.3], 'classes': ['cat', 'dog']}"


def test_explain_shows_a_nested_pickle_below_what_loads_it(tmp_path: Path) -> None:
    inner = b"cpickle\nloads\nC" + bytes([len(HOSTILE)]) + HOSTILE + b"\x85R."
    text = explained(inner, tmp_path)
    assert "\n    v0 = os.system('echo inert')" in text
    assert text.index("pickle.loads(") < text.index("os.system(")


def test_explain_shows_where_a_computed_name_leads(tmp_path: Path) -> None:
    computed = (
        b"cbuiltins\ngetattr\n(cposix\n__name__\n0cimportlib\nimport_module\n(S'posix'\ntRS'system'\ntR(S'echo'\ntR."
    )
    text = explained(computed, tmp_path)
    assert "starts a process: posix.system('echo') [critical]" in text
    assert "reached by importlib.import_module, builtins.getattr" in text


def test_explain_says_what_is_changed_after_it_was_handed_on(tmp_path: Path) -> None:
    handed = b"cvendor\nkeep\n(]q\0S'a'\natR0h\0S'b'\na."
    lines = statements(explained(handed, tmp_path))
    assert [line.replace("list_14", "items") for line in lines] == [
        "items = ['a']", "vendor.keep(items)", "items.append('b')", "return items"
    ]  # fmt: skip


def test_explain_says_where_understanding_ends(tmp_path: Path) -> None:
    done = run("explain", write(tmp_path, model=TRUNCATED) / "model.pkl")
    assert b"not understood from byte " in done.stdout
    assert b"raise UnpicklingError('truncated')" in done.stdout
    assert done.returncode == 3


def test_no_sequence_of_a_file_reaches_the_terminal(tmp_path: Path) -> None:
    nasty = "\x1b[2J\u202e\u2028\r" * 3
    stream = (
        b"\x80\x04\x8c\x01m\x8c\x06"
        + b"\x1b[1;5m"[:6]
        + b"\x93(\x8c"
        + bytes([len(nasty.encode())])
        + nasty.encode()
        + b"tR."
    )
    text = explained(stream, tmp_path)
    assert "UnpicklingError" not in text
    assert all(line.isprintable() for line in text.split("\n"))


def test_explain_shows_as_many_lines_as_asked_for_and_those_with_findings_first(tmp_path: Path) -> None:
    many = b"".join(b"cvendor\nN%d\n)\x810" % number for number in range(50))
    file = write(tmp_path, model=b"\x80\x02" + many + HOSTILE[2:]) / "model.pkl"
    text = run("explain", "--lines", "5", file).stdout.decode()
    assert len(statements(text)) == 5
    assert any("os.system" in line for line in statements(text))
    assert "47 more lines" in text


def test_explain_as_json_has_the_same_lines(tmp_path: Path) -> None:
    file = write(tmp_path, model=HOSTILE) / "model.pkl"
    document = json.loads(run("explain", "--json", file).stdout)
    (stream,) = document["streams"]
    assert [line["text"] for line in stream["lines"]] == statements(run("explain", file).stdout.decode())
    assert stream["lines"][0]["findings"][0]["rule"] == "call-process"
    assert document["verdict"] == "malicious"


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
