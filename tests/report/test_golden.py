"""What ``explain`` and ``disasm`` print of a dozen assembled files, to the letter.

After a wanted change: ``python -m tests.report.test_golden`` writes the files in ``golden`` anew; read the difference.
"""

from __future__ import annotations

import io
import pickle
import zipfile
from pathlib import Path

import pytest

from safepickle.decompile.reading import Readings
from safepickle.report.disasm import Stretch, disassemble, disassembly_text
from safepickle.report.explain import explain, explained_text
from safepickle.scan import Scanner, trace_data

GOLDEN = Path(__file__).with_name("golden")
SCANNER = Scanner()


def text(value: str) -> bytes:
    return b"X" + len(value.encode()).to_bytes(4, "little") + value.encode()


def archive(**members: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w") as made:
        for name, data in members.items():
            made.writestr(zipfile.ZipInfo(f"archive/{name}.pkl"), data)
    return file.getvalue()


SYSTEM = b"cos\nsystem\n" + text("echo inert") + b"\x85R."
STORAGE = b"((S'storage'\nctorch\nFloatStorage\n" + text("0") + text("cpu") + b"K\x06tQ"
TENSOR = (
    b"ctorch._utils\n_rebuild_tensor_v2\n"
    + STORAGE
    + b"K\x00K\x02K\x03\x86K\x03K\x01\x86\x89ccollections\nOrderedDict\n)RtR"
)

FILES: dict[str, bytes] = {
    "command": b"\x80\x02" + SYSTEM,
    "dropped_then_data": b"\x80\x02" + SYSTEM[:-1] + b"0" + pickle.dumps({"a": (1, 2.5, None), "b": b"x" * 300}, 4)[2:],
    "state_dict": b"\x80\x02ccollections\nOrderedDict\n)R("
    + b"".join(text(f"layer{number}.weight") + TENSOR for number in range(5)) + b"u.",
    "torch_archive": archive(data=b"\x80\x02" + SYSTEM, other=pickle.dumps([1], 2)),
    "nested": b"\x80\x02cpickle\nloads\nB" + len(SYSTEM).to_bytes(4, "little") + SYSTEM + b"\x85R.",
    "computed": b"\x80\x02cbuiltins\ngetattr\ncimportlib\nimport_module\n" + text("posix") + b"\x85R" + text("system")
    + b"\x86R" + text("echo") + b"\x85R.",
    "handed_on": b"\x80\x02cvendor\nkeep\n]q\x00" + text("a") + b"a\x85R0h\x00" + text("b") + b"a.",
    "recursive": b"\x80\x02]q\x00h\x00K\x01\x86a.",
    "damaged": b"\x80\x02" + SYSTEM[:-1] + b"0(t\xff",
    "two_streams": b"\x80\x02N." + SYSTEM,
    "objects": b"(S'x'\nivendor\nThing\n}" + text("n") + b"K\x01sbp0\n0(cvendor\nThing\nK\x02o0cvendor\nThing\n)}"
    + text("k") + b"Ns\x92cvendor\nnever_used\n0(g0\n\x82\x07Pid\nt.",
    "terminal": b"\x80\x04\x8c\x03a\x1bb\x8c\x04c\xe2\x80\xae\x93" + text("\x1b[31m\u202e\x9b") + b"\x85R.",
}  # fmt: skip


def printed(name: str) -> str:
    """The output of both commands, without what changes with the model."""
    readings = Readings()
    trace = trace_data(FILES[name], SCANNER.limits, readings.add)
    report = SCANNER.report(trace, f"{name}.pkl")
    kept = tuple(finding for finding in report.findings if finding.rule != "model-score")
    report = report.replace(findings=kept)
    explained = "\n".join(explained_text(explain(report, readings))).partition("\nVerdict:")[0]
    return f"{explained}\n" + "\n".join(disassembly_text(disassemble(report, readings, Stretch()), report.path)) + "\n"


@pytest.mark.parametrize("name", FILES)
def test_the_output_is_as_it_was_read_and_found_right(name: str) -> None:
    assert printed(name) == (GOLDEN / f"{name}.txt").read_text(encoding="utf-8")


if __name__ == "__main__":
    for file in FILES:
        (GOLDEN / f"{file}.txt").write_text(printed(file), encoding="utf-8")
