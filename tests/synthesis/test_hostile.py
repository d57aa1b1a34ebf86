"""Every way of naming crossed with every form of calling gives a stream that parses and leaves a clean stack."""

from __future__ import annotations

import pickle
import pickletools
from itertools import product
from random import Random

import pytest

from pipelines.assemble import Assembler, hostile, invoke, place, reach
from pipelines.assemble.hosts import Host
from pipelines.assemble.literals import Value
from pipelines.assemble.targets import Target, argument, known_target, load_callables, novel_target
from pipelines.savers import controls
from safepickle.scan import trace_bytes

SITE = reach.Site("subprocess", "getoutput", (("commands", "getoutput"), ("shutil", "subprocess.getoutput")), "train")
FIRST_WORDS = {
    "echo", "true", "sh", "/bin/echo", "/bin/true", "whoami", "bash", "id", "printf", "python3", "curl", "cmd",
}  # fmt: skip
INTENDED_TO_BREAK = ("no_stop", "broken_after", "truncated_host")


class _Nowhere:
    def write(self, text: str) -> None:
        assert isinstance(text, str)


def _callees(data: bytes) -> set[str]:
    return {call.callee.name for stream in trace_bytes(data).walk() for call in stream.calls}


@pytest.mark.parametrize("protocol", range(6))
def test_ways_crossed_with_forms_leave_one_value_on_the_stack(protocol: int) -> None:
    for way in reach.ways(SITE, protocol):
        arguments: tuple[tuple[Value, ...], ...] = (("echo ok",), ("echo ok", None), ())
        for given in arguments:
            made = invoke.Call(
                lambda asm, way=way: reach.push_site(asm, SITE, way, Random(1)), given, ("subprocess", "getoutput")
            )
            for form in invoke.forms(made, protocol):
                asm = Assembler(protocol)
                invoke.write_call(asm, made, form, Random(2))
                pickletools.dis(asm.assemble(), out=_Nowhere())  # raises unless exactly one value is left at STOP


def test_every_way_and_every_form_is_used_by_some_protocol() -> None:
    given = (invoke.Call(lambda asm: None, ("a",), ("m", "n")), invoke.Call(lambda asm: None, ("a", "b"), ("m", "n")))
    ways = {way for protocol in range(6) for way in reach.ways(SITE, protocol)}
    forms = {form for protocol, made in product(range(6), given) for form in invoke.forms(made, protocol)}
    assert ways == set(reach.WAYS)
    assert forms == set(invoke.FORMS)


@pytest.mark.parametrize("way", ["global", "global_python_2", "stack_global", "string_opcodes", "memo", "decoy"])
def test_the_tracer_sees_the_callable_however_it_is_named(way: str) -> None:
    protocol = 2 if way == "global_python_2" else 4
    asm = Assembler(protocol)
    reach.call(asm, lambda inner: reach.push_site(inner, SITE, way, Random(3)), reach.value("echo ok"))
    assert "subprocess.getoutput" in _callees(asm.assemble())


def _target(rng: Random, index: int) -> Target:
    entries = load_callables()
    return novel_target(rng, "train") if index % 3 == 0 else known_target(rng, entries[rng.randrange(len(entries))])


def test_composed_samples_parse_to_their_stop_unless_meant_to_be_broken() -> None:
    rng = Random(7)
    value = {"rows": [{"id": number, "text": f"row {number}"} for number in range(30)]}
    hosts = [Host("h", "python", "g", "train", pickle.dumps(value, protocol)) for protocol in range(6)]
    seen = set()
    for index in range(600):
        target = _target(rng, index)
        sample = hostile.compose(rng, target, hosts, lambda draw: controls.harmless(draw, "train")[1])
        where = sample.technique.split("/")[2]
        seen.add(where)
        if where not in INTENDED_TO_BREAK:
            assert [opcode.name for opcode, _, _ in pickletools.genops(sample.data)][-1] == "STOP", sample.technique
    assert seen == {*hostile.ALONE, *hostile.IN_HOST}


def test_tampering_calls_nothing_but_an_importer() -> None:
    rng = Random(9)
    for index in range(60):
        made = hostile.tampering(rng, _target(rng, index), 4)
        data = place.bare(4, made.write, rng)
        callees = {
            call.callee.name
            for stream in trace_bytes(data).walk()
            for call in stream.calls
            if call.opcode in ("REDUCE", "INST", "OBJ")
        }
        assert callees <= {"importlib.import_module"}


def test_arguments_do_nothing_when_run() -> None:
    rng = Random(4)
    for _ in range(500):
        shell = argument(rng, "shell")
        assert isinstance(shell, str)
        assert shell.split()[0] in FIRST_WORDS
        path, url = argument(rng, "path"), argument(rng, "url")
        assert isinstance(path, str)
        assert path.startswith("/tmp/none/")
        assert isinstance(url, str)
        assert "localhost" in url or "example.invalid" in url
        assert argument(rng, "argv") != []


def test_an_argument_kind_nobody_knows_is_refused() -> None:
    with pytest.raises(ValueError, match="nonsense"):
        argument(Random(1), "nonsense")


def test_novel_targets_are_named_by_nobody_and_differ_between_the_pools() -> None:
    packages = {
        pool: {novel_target(Random(f"{pool}{seed}"), pool).module.split(".")[0] for seed in range(600)}
        for pool in ("train", "test")
    }
    assert packages["train"] & packages["test"] <= {"__main__"}
    assert len(packages["train"]) > 60
