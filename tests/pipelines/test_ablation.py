"""What is taken away is really gone."""

from __future__ import annotations

from pipelines.ablation import WithoutMap, WithoutPrevalence, as_markdown
from safepickle.features import SCHEMA, Knowledge, Prevalence, extract
from safepickle.scan import trace_bytes

FILE = trace_bytes(b"ctimeit\ntimeit\n(S'print(1)'\ntR0ccollections\nOrderedDict\n)R.")
PREVALENCE = Prevalence({"collections.OrderedDict": 200, "collections.OrderedDict()": 200}, 200)


def row(knowledge: Knowledge) -> dict[str, float]:
    return dict(zip(SCHEMA.names, extract(FILE, knowledge)[0], strict=True))


def test_without_the_map_nothing_is_known_to_reach_a_sink() -> None:
    whole, blind = row(Knowledge(PREVALENCE)), row(WithoutMap(PREVALENCE))
    assert (whole["flows_exec"], blind["flows_exec"]) == (1.0, 0.0)
    assert (whole["unanalysed_callee"], blind["unanalysed_callee"]) == (0.0, 1.0)
    assert WithoutMap(PREVALENCE).capability("timeit.timeit") is None


def test_without_prevalence_no_name_is_usual() -> None:
    blind = WithoutPrevalence(PREVALENCE)
    assert Knowledge(PREVALENCE).novelty("collections.OrderedDict") == 0.0
    assert blind.novelty("collections.OrderedDict") > 0.0
    assert blind.novelty("vendor.loader.run") == 1.0
    assert blind.usual("collections.OrderedDict") == 0


def test_the_table_has_a_row_for_each_variant_and_says_what_is_not_there() -> None:
    sets = {"public": {"caught": 9, "malicious": 10, "flagged": 1, "benign": 100, "tpr_at_0": 0.5}}
    text = as_markdown({"the whole ensemble": sets, "without the map": {}})
    assert "| the whole ensemble | 0.900 [0.596, 0.982] |" in text
    assert text.count("\n| without the map | - |") == 1
