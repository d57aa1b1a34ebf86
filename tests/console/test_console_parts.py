"""The parts of the console that need no service: charts, words, links between views, distances, counts."""

from __future__ import annotations

import datetime
import itertools
import re
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

from registry import wilson
from safepickle.bytecode.trace import FileTrace
from safepickle.decompile.reading import Readings
from safepickle.limits import DEFAULT_LIMITS
from safepickle.scan import trace_data
from serving.auth import add_key
from serving.console import charts, contents, measures, story
from serving.console.code_view import finding_links, stream_views
from serving.console.dashboard import alarmed_containers
from serving.console.highlight import highlighted
from serving.console.login import safe_path
from serving.console.neighbours import distance, names_of, nearest
from serving.console.rendering import FOLDER, markdown
from serving.console.sessions import find_session, form_token, is_form_token, open_session
from serving.console.wording import consequence, headline, joined
from serving.database.clock import now
from serving.database.engine import Database
from serving.database.records import NewLabel, add_label
from serving.database.tables import ShadowScore
from serving.database.writer import store_scans
from serving.labels import DEFAULT_POLICY
from serving.scan_process import describe_report
from tests.serving.models import BENIGN, HOSTILE, benign, hostile
from tests.serving.records import record_of, scanner

NASTY = "\"'><script>alert(1)</script>"


def parsed(svg: str) -> ElementTree.Element:
    return ElementTree.fromstring(svg)


# --- charts ----------------------------------------------------------------------------------------


def test_charts_are_well_formed_and_escape_every_name() -> None:
    series = [charts.Series(NASTY, "accent", [1.0, None, 3.0])]
    band = charts.Band([0.5, None, 2.0], [1.5, None, 4.0])
    for svg in (
        charts.stacked(NASTY, [NASTY] * 3, series),
        charts.trend(NASTY, [NASTY] * 3, series, [band], [charts.Mark(1, NASTY)], top=None),
        charts.columns(NASTY, [NASTY], [3]),
        charts.bar(NASTY, 0.5, "accent", [(0.7, NASTY)]),
    ):
        root = parsed(svg)
        assert root.get("aria-label") == NASTY
        assert not [element for element in root.iter() if element.tag == "script"]
        assert " style=" not in svg


def test_stacked_bars_are_as_high_as_what_they_count() -> None:
    root = parsed(
        charts.stacked("", ["a", "b"], [charts.Series("x", "accent", [3, 6]), charts.Series("y", "second", [1, 0])])
    )
    heights = [float(rect.get("height") or 0) for rect in root.iter("rect")]
    assert heights == pytest.approx([heights[0], heights[0] / 3, heights[0] * 2], abs=0.11)
    tops = sorted(float(rect.get("y") or 0) for rect in root.iter("rect"))
    assert tops[0] >= 0


def test_a_line_has_a_gap_where_there_is_no_value() -> None:
    root = parsed(charts.trend("", list("abcde"), [charts.Series("x", "accent", [0.1, 0.2, None, 0.3, 0.4])]))
    assert [len((line.get("points") or "").split()) for line in root.iter("polyline")] == [2, 2]


def test_a_chart_of_nothing_is_empty_and_no_error() -> None:
    assert not list(parsed(charts.stacked("", [], [])).iter("rect"))
    assert not list(parsed(charts.trend("", [], [charts.Series("x", "accent", [])], top=None)).iter("polyline"))


# --- text ------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "text", [NASTY, "os.system('<b>')", "v0 = f(b'\\'x', \"y\")  # <i>", "'" * 5_000, "x" * 5_000, "\\'" * 3_000]
)
def test_coloured_code_is_the_same_text_escaped(text: str) -> None:
    html = highlighted(text)
    assert "".join(parsed(f"<p>{html}</p>").itertext()) == text


def test_a_model_card_brings_no_html_image_style_or_script() -> None:
    html = markdown(
        f"# T\n\n<b onclick=x>{NASTY}\n\n![i](http://e.example/i.png) [l](javascript:alert(1))\n\n|a|\n|-:|\n|1|"
    )
    for part in ("<b ", "<script", "<img", "style=", 'href="javascript'):
        assert part not in html
    assert '<td class="n">1</td>' in html


def test_the_verdict_is_told_by_the_gravest_effects() -> None:
    def finding(severity: str, effect: str = "", title: str = "is odd") -> dict[str, str]:
        return {"severity": severity, "effect": effect, "title": title}

    found = [finding("critical", "starts a process"), finding("critical", "runs Python code"), finding("high", "opens")]
    assert consequence(found, "malicious") == "Loading it starts a process and runs Python code."
    assert consequence([finding("medium", title="stops being a pickle")], "suspicious") == "It stops being a pickle."
    assert consequence([], "malicious") == "No single call explains it."
    assert consequence(found, "benign") == ""
    assert headline("malicious") != headline("benign")
    assert joined(["a", "b", "c"]) == "a, b and c"
    assert joined([]) == ""


@pytest.mark.parametrize(
    ("path", "led"),
    [("/console/files/ab?x=1#y", True), ("/console/", True), ("", False), ("/console", False), ("/v1/scan", False),
     ("//e.example/console/", False), ("https://e.example/console/", False), ("/console/\\e.example", False),
     ("/console/../v1", False), ("/console/\r\nX: y", False), ("javascript:alert(1)", False)],
)  # fmt: skip
def test_only_addresses_of_the_console_are_gone_to(path: str, led: bool) -> None:
    assert (safe_path(path) == path) is led
    assert safe_path(path).startswith("/console/")


def test_no_template_turns_escaping_off_or_has_script_or_style_of_its_own() -> None:
    for template in (FOLDER / "templates").glob("*.html"):
        text = template.read_text(encoding="utf-8")
        assert "|safe" not in text.replace(" ", "")
        assert "autoescape" not in text
        assert " style=" not in text
        assert not re.search(r"\son[a-z]+=", text), template
        assert not re.search(r"<script(?! src=\"/console/static/)", text), template
        assert "://" not in text, template


# --- a file ----------------------------------------------------------------------------------------


def test_each_finding_leads_to_its_line_and_each_opcode_to_the_line_it_is_part_of() -> None:
    readings = Readings()
    report = scanner().report(trace_data(HOSTILE, DEFAULT_LIMITS, readings.add), "x")
    findings = describe_report(scanner(), report, "")[0]["file"]["findings"]
    (view,) = stream_views(story.tell(report, readings), findings)
    reduce = len(HOSTILE) - 2
    assert finding_links([view], findings)[0] == f"s0-p{reduce}"
    opcodes = [row for row in view.code if row is not None]
    assert {row.link for row in opcodes if row.offset <= reduce} == {f"s0-p{reduce}"}
    assert [row.severity for row in opcodes if row.offset == reduce] == ["critical"]
    anchors = [row.anchor for row in (*view.lines, *opcodes) if row.anchor]
    assert len(anchors) == len(set(anchors))


def test_what_a_file_calls_is_listed_with_what_that_could_do_the_gravest_first() -> None:
    found, left_out = contents.names(trace(b"\x80\x02ccollections\nOrderedDict\n)R0" + HOSTILE[2:]).redacted())
    assert [named.name for named in found] == ["os.system", "collections.OrderedDict"]
    assert found[0].does == "starts a process"
    assert found[0].known == "a root sink"
    assert "echo" not in found[0].text, "a redacted Trace has no literal"
    assert left_out == 0


def test_the_parts_of_a_file_are_a_tree_that_ends_where_it_is_told_to() -> None:
    root, left_out = contents.tree(trace(HOSTILE))
    assert (root.title, left_out) == ("pickle", 0)
    assert root.parts[0].title == "pickle, protocol 2"
    many = trace(HOSTILE)
    wide = many.replace(
        streams=tuple(many.streams[0].replace(place=(("zip", f"m{number}"),)) for number in range(1_000))
    )
    root, left_out = contents.tree(wide)
    assert len(root.parts) + left_out == 1_000
    assert len(root.parts) <= contents.MOST_PARTS + 1


def test_distances_are_those_of_jaccard() -> None:
    assert distance({1, 2}, {2, 3}) == pytest.approx(2 / 3)
    assert distance(set(), set()) == 0.0
    assert distance({1}, set()) == 1.0
    assert names_of(trace(hostile(1))) == names_of(trace(hostile(2))) == {("call", "os.system")}
    assert names_of(trace(BENIGN)) == frozenset()


def trace(data: bytes) -> FileTrace:
    return trace_data(data, DEFAULT_LIMITS)


# --- the database ----------------------------------------------------------------------------------


def test_neighbours_are_labelled_files_whose_label_stands(database: Database) -> None:
    one, other, unsure = (record_of(hostile(number), f"{number}.pkl") for number in (1, 2, 3))
    with database.write() as connection:
        key, _ = add_key(connection, "analyst", "ann", "")
        store_scans(connection, [one, other, unsure])
        for record, label in ((one, "malicious"), (unsure, "unsure")):
            add_label(connection, NewLabel(label, "x", record.id), key, "ann", "analyst")
    with database.read() as connection:
        found = nearest(connection, trace(hostile(2)), other.sha256, DEFAULT_POLICY)
        assert [(near.sha256, near.label, near.distance) for near in found] == [(one.sha256, "malicious", 0.0)]
        assert nearest(connection, trace(hostile(1)), one.sha256, DEFAULT_POLICY) == []
        assert nearest(connection, trace(BENIGN), "0" * 64, DEFAULT_POLICY) == []


def test_precision_and_recall_are_counted_from_labels_that_stand(database: Database) -> None:
    said = [(hostile(1), "malicious"), (hostile(2), "malicious"), (hostile(3), "benign"), (benign(1), "malicious"),
            (benign(2), "benign"), (benign(3), "unsure")]  # fmt: skip
    records = [record_of(data, str(number)) for number, (data, _) in enumerate(said)]
    with database.write() as connection:
        key, _ = add_key(connection, "analyst", "ann", "")
        store_scans(connection, records)
        for record, (_, label) in zip(records, said, strict=True):
            add_label(connection, NewLabel(label, "x", record.id), key, "ann", "analyst")
    with database.read() as connection:
        judged = measures.judged(connection, now() - datetime.timedelta(hours=1), DEFAULT_POLICY)
        assert measures.judged(connection, now() + datetime.timedelta(hours=1), DEFAULT_POLICY) == []
    assert len(judged) == 5
    assert (measures.precision(judged).hits, measures.precision(judged).trials) == (2, 3)
    assert (measures.recall(judged).hits, measures.recall(judged).trials) == (2, 3)
    assert measures.recall(judged).interval == wilson(2, 3)
    assert measures.precision([]).interval is None
    counts, median = measures.delays(judged)
    assert counts[0] == 5
    assert median is not None


def test_scans_are_counted_by_verdict_and_time(database: Database) -> None:
    old = now() - datetime.timedelta(days=3)
    records = [record_of(hostile(number), "new") for number in range(3)]
    aged = f"{round(old.timestamp() * 1000):012x}" + records[0].id[12:]
    records += [record_of(benign(1), "old", id=aged, at=old)]
    with database.write() as connection:
        store_scans(connection, records)
    buckets = measures.buckets("week")
    assert buckets[0].start < old < now() < buckets[-1].end
    assert all(one.end == other.start for one, other in itertools.pairwise(buckets))
    with database.read() as connection:
        counts = [measures.verdict_counts(connection, bucket) for bucket in buckets]
    assert sum(sum(count.values()) for count in counts) == 4
    assert counts[-1]["malicious"] == 3 or sum(count["malicious"] for count in counts[-2:]) == 3
    assert [count["benign"] for count in counts].count(1) == 1


def test_a_container_whose_share_changed_gets_a_chart_of_its_own(database: Database) -> None:
    alarms = [
        SimpleNamespace(payload={"stream": name}) for name in ("novelty", "container:npz", "container:npz", "library:x")
    ]
    assert alarmed_containers(alarms) == ["container:npz"]
    with database.write() as connection:
        store_scans(connection, [record_of(benign(1), "a"), record_of(benign(2), "b", container="npz")])
    whole = measures.Bucket(now() - datetime.timedelta(hours=1), now() + datetime.timedelta(hours=1), "")
    with database.read() as connection:
        assert measures.container_count(connection, whole, "npz") == 1


def test_a_challenger_in_shadow_is_compared_with_the_champion(database: Database) -> None:
    records = [record_of(hostile(1), "a"), record_of(benign(1), "b"), record_of(benign(2), "c")]
    with database.write() as connection:
        store_scans(connection, records)
        for record, verdict in zip(records, ("malicious", "suspicious", "benign"), strict=True):
            connection.execute(
                ShadowScore.__table__.insert().values(
                    scan_id=record.id, version=7, model_version="1", verdict=verdict, score=0.5, seconds=0.001
                )
            )
    with database.read() as connection:
        shadow = measures.shadow(connection, now() - datetime.timedelta(hours=1))
        assert measures.shadow(connection, now() + datetime.timedelta(hours=1)) is None
    assert shadow is not None
    assert (shadow.version, shadow.same, shadow.stricter, shadow.milder) == (7, 2, 1, 0)
    assert [row.name for row in shadow.differing] == ["b"]


def test_a_session_is_found_by_its_token_until_it_ends(database: Database) -> None:
    with database.write() as connection:
        key, _ = add_key(connection, "analyst", "ann", "")
        token = open_session(connection, key, 1.0)
        over = open_session(connection, key, -1.0)
        found = find_session(connection, token)
        assert found is not None
        assert (found.name, found.role, found.key_id) == ("ann", "analyst", key)
        for wrong in (over, "", token[:-1], token + "x", "\u20ac", "x" * 10_000):
            assert find_session(connection, wrong) is None


def test_a_forms_token_is_of_one_session_and_one_purpose() -> None:
    assert is_form_token("s", form_token("s"))
    assert not is_form_token("t", form_token("s"))
    assert not is_form_token("s", form_token("s"), "upload")
    assert not is_form_token("", form_token(""))


def test_the_style_sheet_and_script_ask_nothing_of_other_hosts() -> None:
    for path in Path(FOLDER / "static").iterdir():
        text = path.read_text(encoding="utf-8").replace("http://www.w3.org/2000/svg", "")
        assert "://" not in text
        assert "@import" not in text
        assert "eval(" not in text
        assert "innerHTML" not in text
