"""What hiding costs: ``python -m pipelines.robustness`` judges payloads in hosts, places, protocols and disguises.

The payloads call what no training file uses, the hosts and controls come from the same held-out pool, and the trained
bundle judges them. Written to ``data/work/robustness/robustness.{md,json}``, benign controls beside every figure.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Iterator, Sequence
from random import Random
from typing import NamedTuple

from safepickle.scan import Scanner, trace_bytes

from .assemble import hostile, wrap
from .assemble.conversion import dumps
from .assemble.hosts import Host, Write
from .assemble.place import PLACES, bare
from .assemble.stream import Assembler
from .assemble.targets import Target, novel_target
from .evaluation.judging import FLAGGED
from .evaluation.tables import markdown, rate
from .params import load_params
from .paths import BUNDLE, ROBUSTNESS
from .savers import bank, controls, plain, vocabulary
from .synthesize import LIMITS, known

POOL = "test"
RUNGS = (10, 30, 100, 300, 1_000, 3_000, 10_000, 30_000, 100_000, 150_000)
"""Opcodes of the hosts."""
WHERE = ("before", "inside", "after", "returned", "stored", "later_stream")
STUFFING = (1, 8, 64, 512)
HOSTS_OF_A_RUNG = 6

Judge = Callable[[bytes], str]


class Case(NamedTuple):
    """A payload and the seed of everything that is drawn while it is placed."""

    target: Target
    seed: str


class Line(NamedTuple):
    """Of so many malicious and benign files, those flagged."""

    section: str
    name: str
    caught: int
    malicious: int
    flagged: int
    benign: int


def cases(count: int, seed: int) -> list[Case]:
    """Payloads in equal parts with callables of libraries and with made-up ones."""
    rng = Random(f"{seed}:robustness")
    draw = (known, novel_target)
    return [Case(draw[number % 2](rng, POOL), f"{seed}:{number}") for number in range(count)]


def benign(judge: Judge, rng: Random, count: int) -> list[Write]:
    """Harmless code that is not flagged where it stands alone: what is flagged then is the disguise, not the code."""
    found: list[Write] = []
    while len(found) < count:
        write = controls.harmless(rng, POOL)[1]
        if judge(bare(4, write, Random(0))) not in FLAGGED:
            found.append(write)
    return found


def hosts(size: int, seed: int, judge: Judge) -> list[Host]:
    """Benign hosts of about that many opcodes that are not flagged alone: savers' files, else tables of records."""
    near = [
        host for host in bank.hosts(POOL) if 0.5 <= len(host.operations) / size <= 2 and judge(host.data) not in FLAGGED
    ]
    near.sort(key=lambda host: (abs(len(host.operations) - size), host.name))
    found = near[:HOSTS_OF_A_RUNG]
    rng = Random(f"{seed}:hosts:{size}")
    while len(found) < 2:
        per_row = 24
        data = dumps(plain.table(rng, max(1, size // per_row)), (2, 4)[len(found) % 2])
        found.append(Host("records", "python", "", POOL, data))
    return found


def ladder(chosen: Sequence[Case], judge: Judge, seed: int) -> Iterator[Line]:
    """Dilution: every payload in every place of a host of each size; the hosts alone, and with benign code, beside."""
    alone = [judge(_bare(case, protocol)) for case in chosen for protocol in (2, 4)]
    harmless = [judge(_bare_control(case, protocol)) for case in chosen for protocol in (2, 4)]
    yield _line("host size", "no host", alone, harmless)
    for size in RUNGS:
        of_size = hosts(size, seed, judge)
        bad, good = [], []
        for case in chosen:
            for place in WHERE:
                rng = Random(f"{case.seed}:{size}:{place}")
                host = rng.choice(of_size)
                made = hostile.payload(rng, case.target, host.protocol)
                bad.append(judge(PLACES[place](host, made.write, rng)))
            rng = Random(f"{case.seed}:{size}:control")
            host = rng.choice(of_size)
            good.append(judge(PLACES[rng.choice(WHERE)](host, benign(judge, rng, 1)[0], rng)))
        yield _line("host size", f"{_middle(of_size):,} opcodes", bad, good)
        print(f"ladder: hosts of {size:,} opcodes", file=sys.stderr)


def places(chosen: Sequence[Case], judge: Judge, seed: int) -> Iterator[Line]:
    """Each place of all, in hosts of 1,000 opcodes."""
    of_size = hosts(1_000, seed, judge)
    for place in PLACES:
        bad, good = [], []
        for case in chosen:
            rng = Random(f"{case.seed}:{place}")
            host = rng.choice(of_size)
            bad.append(judge(PLACES[place](host, hostile.payload(rng, case.target, host.protocol).write, rng)))
            good.append(judge(PLACES[place](host, benign(judge, rng, 1)[0], rng)))
        yield _line("place", place, bad, good)


def protocols(chosen: Sequence[Case], judge: Judge) -> Iterator[Line]:
    """The same payloads in every protocol."""
    for protocol in range(6):
        bad = [judge(_bare(case, protocol)) for case in chosen]
        yield _line("protocol", str(protocol), bad, [judge(_bare_control(case, protocol)) for case in chosen])


def disguises(chosen: Sequence[Case], judge: Judge) -> Iterator[Line]:
    """Benign calls around a payload, benign words beside it, and alarming words in benign files."""
    for count in STUFFING:
        bad, good = [], []
        for case in chosen:
            rng = Random(f"{case.seed}:stuffed:{count}")
            made = hostile.payload(rng, case.target, 4)
            stuffing = benign(judge, rng, count)
            bad.append(judge(bare(4, _stuffed(made.write, stuffing), rng)))
            good.append(judge(bare(4, _stuffed(benign(judge, rng, 1)[0], stuffing), rng)))
        yield _line("disguise", f"among {count} benign calls", bad, good)
    bad, good = [], []
    for case in chosen:
        rng = Random(f"{case.seed}:words")
        made = hostile.payload(rng, case.target, 4)
        bad.append(judge(bare(4, _beside(made.write, ["weights", "bias", "layer", "Adam", "float32"] * 40), rng)))
        words = [rng.choice(vocabulary.ALARMING) for _ in range(200)]
        good.append(judge(bare(4, _beside(benign(judge, rng, 1)[0], words), rng)))
    yield _line("disguise", "benign words (malicious), alarming words (benign)", bad, good)


def containers(chosen: Sequence[Case], judge: Judge) -> Iterator[Line]:
    """The same streams in every container."""
    for name, put in wrap.WRAPS.items():
        bad, good = [], []
        for case in chosen:
            rng = Random(f"{case.seed}:{name}")
            bad.append(judge(put(_bare(case, 2), rng)))
            good.append(judge(put(_bare_control(case, 2), rng)))
        yield _line("container", name, bad, good)


def _bare(case: Case, protocol: int) -> bytes:
    rng = Random(f"{case.seed}:bare:{protocol}")
    return bare(protocol, hostile.payload(rng, case.target, protocol).write, rng)


def _bare_control(case: Case, protocol: int) -> bytes:
    rng = Random(f"{case.seed}:control:{protocol}")
    return bare(protocol, controls.harmless(rng, POOL)[1], rng)


def _stuffed(write: Write, stuffing: Sequence[Write]) -> Write:
    def whole(asm: Assembler) -> None:
        for other in stuffing[: len(stuffing) // 2]:
            other(asm)
            asm.pop()
        write(asm)
        for other in stuffing[len(stuffing) // 2 :]:
            asm.pop()
            other(asm)

    return whole


def _beside(write: Write, words: Sequence[str]) -> Write:
    def whole(asm: Assembler) -> None:
        asm.empty_list().mark()
        for word in words:
            asm.text(word)
        asm.appends()
        write(asm)
        asm.tuple2()

    return whole


def _middle(of_size: Sequence[Host]) -> int:
    return sorted(len(host.operations) for host in of_size)[len(of_size) // 2]


def _line(section: str, name: str, bad: Sequence[str], good: Sequence[str]) -> Line:
    return Line(
        section, name, sum(said in FLAGGED for said in bad), len(bad), sum(said in FLAGGED for said in good), len(good)
    )


def as_markdown(lines: Sequence[Line], payloads: int) -> str:
    """The report."""
    parts = [
        "# What hiding costs an attacker\n\n<!-- written by python -m pipelines.robustness -->\n\n"
        f"{payloads} payloads whose callables no training file uses, judged by the trained bundle; *caught* and "
        "*flagged* mean suspicious or malicious. Hosts and benign code come from the same pool that nothing learned "
        "from, and are not flagged where they stand alone (but for the rows without a host and by protocol and "
        "container, which show just that); the benign column holds such code in such hosts, places and disguises. "
        "Brackets: Wilson 95 % intervals.\n"
    ]
    for section in dict.fromkeys(line.section for line in lines):
        parts.append(f"\n## By {section}\n\n")
        rows = [
            (
                line.name,
                f"{line.caught} of {line.malicious}",
                rate(line.caught, line.malicious),
                f"{line.flagged} of {line.benign}",
                rate(line.flagged, line.benign),
            )
            for line in lines
            if line.section == section
        ]
        parts.append(markdown((section, "caught", "recall", "benign flagged", "false positives"), rows))
    first, rest = lines[0], [line for line in lines[1:] if line.section == "host size"]
    padded = sum(line.caught for line in rest) / sum(line.malicious for line in rest)
    bare_recall = first.caught / first.malicious
    parts.append(
        f"\nRecall bare {bare_recall:.3f}, mean over hosts and places {padded:.3f}: a difference of "
        f"{100 * (padded - bare_recall):+.1f} points (goal: within 1).\n"
    )
    return "".join(parts)


def main() -> None:
    """Judge everything and write the report."""
    params = load_params()
    seed, count = int(params["seed"]), int(params["evaluate"]["payloads"])
    scanner = Scanner(BUNDLE, limits=LIMITS)
    chosen = cases(count, seed)

    def judge(data: bytes) -> str:
        return scanner.judge(trace_bytes(data, LIMITS)).verdict

    lines = [
        *ladder(chosen, judge, seed),
        *places(chosen, judge, seed),
        *protocols(chosen, judge),
        *disguises(chosen, judge),
        *containers(chosen, judge),
    ]
    ROBUSTNESS.mkdir(parents=True, exist_ok=True)
    text = as_markdown(lines, count)
    (ROBUSTNESS / "robustness.md").write_text(text, encoding="utf-8")
    (ROBUSTNESS / "robustness.json").write_text(
        json.dumps([line._asdict() for line in lines], indent=1) + "\n", encoding="utf-8"
    )
    print(text)


if __name__ == "__main__":
    main()
