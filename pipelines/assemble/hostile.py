"""Malicious samples: a target x how it is named x how it is called x where it sits. Written, never loaded."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import NamedTuple

from . import invoke, place, reach, words
from .hosts import Host, Write
from .literals import Named, Value, push
from .reach import Site, call, nested, value
from .stream import Assembler
from .targets import Target

PROTOCOLS = (0, 1, 2, 2, 2, 3, 4, 4, 4, 4, 5)
COMMON = {"global": 4, "stack_global": 5, "reduce": 6, "inst": 2, "obj": 2}
"""Weights of the ordinary ways and forms; the others weigh 1."""
ALONE = {"bare": 28, "stuffed": 8, "no_stop": 4, "broken_after": 5, "nested": 6}
IN_HOST = {"before": 8, "inside": 12, "after": 6, "returned": 4, "paired": 3, "stored": 7, "later_stream": 4,
           "earlier_stream": 2, "truncated_host": 2, "nested_inside": 4}  # fmt: skip


class Sample(NamedTuple):
    """A hostile stream; `technique` is ``reach/form/place``; `host` is None where it stands alone."""

    technique: str
    data: bytes
    host: Host | None


class Payload(NamedTuple):
    """Code that makes the call and leaves one value, and how it does so (``reach/form``)."""

    technique: str
    write: Write


def _weighted(rng: Random, names: Sequence[str]) -> str:
    return rng.choices(names, [COMMON.get(name, 1) for name in names])[0]


def payload(rng: Random, target: Target, protocol: int) -> Payload:
    """Code that calls the target, in a way and a form that work in the protocol."""
    if target.kind == "method":
        owner, _, method = target.name.rpartition(".")
        shortened = tuple((module, name.rpartition(".")[0]) for module, name in target.aliases)
        site = Site(target.module, owner, shortened, target.pool)
    else:
        method = ""
        site = Site(target.module, target.name, target.aliases, target.pool)
    way = _weighted(rng, reach.ways(site, protocol))

    def named(asm: Assembler) -> None:
        reach.push_site(asm, site, way, rng)

    callee: reach.Push = nested(reach.GETATTR, nested(named), value(method)) if method else named
    plain = (site.module, site.name) if not method and ("." not in site.name or protocol >= 4) else None
    made = invoke.Call(callee, target.arguments, plain)
    form = _weighted(rng, invoke.forms(made, protocol))
    shown = "inst" if form == "inst" else f"bound_{way}" if method else way
    return Payload(f"{shown}/{form}", lambda asm: invoke.write_call(asm, made, form, rng))


def tampering(rng: Random, target: Target, protocol: int) -> Payload:
    """Code that calls nothing and plants the target or a value in a class, a module, a registry or a search path."""

    def planted(asm: Assembler) -> None:
        push(asm, Named(target.module, target.name))

    holder = Named(*rng.choice((("collections", "OrderedDict"), ("json", "JSONDecoder"), ("argparse", "Namespace"))))
    word = rng.choice(words.PLAIN)

    def build_class(asm: Assembler) -> None:
        push(asm, holder).none().empty_dict().text(rng.choice(("__init__", "__eq__", "__repr__", "decode")))
        planted(asm)
        asm.setitem().tuple2().build()

    def build_module(asm: Assembler) -> None:
        call(asm, value(Named("importlib", "import_module")), value(rng.choice(("json", "logging", "warnings"))))
        asm.empty_dict().text(rng.choice(("loads", "warn", "getLogger")))
        planted(asm)
        asm.setitem().build()

    def set_registry(asm: Assembler) -> None:
        owner = rng.choice((("sys", "modules"), ("copyreg", "dispatch_table"), ("os", "environ")))
        push(asm, Named(*owner)).text(rng.choice(("json", "LD_PRELOAD", "PYTHONSTARTUP", word)))
        asm.text(f"/tmp/none/{word}") if owner[0] == "os" else planted(asm)
        asm.setitem()

    def append_path(asm: Assembler) -> None:
        owner, item = rng.choice(
            ((("sys", "path"), f"/tmp/none/{word}"), (("sys", "meta_path"), ""), (("site", "PREFIXES"), "/tmp"))
        )
        push(asm, Named(*owner))
        asm.text(item) if item else planted(asm)
        asm.append()

    kinds: dict[str, Callable[[Assembler], None]] = {
        "build_class": build_class, "build_module": build_module, "setitem_registry": set_registry,
        "append_path": append_path,
    }  # fmt: skip
    kind = rng.choice(list(kinds) if protocol >= 2 else ["build_module", "setitem_registry", "append_path"][1:])
    return Payload(f"global/{kind}", kinds[kind])


def extension(rng: Random, target: Target, protocol: int) -> Payload:
    """A call of an entry of the extension registry, which the loading program or an earlier file filled."""
    code = rng.choice((1, 7, 200, 255, 256, 4096, 1 << 20))

    def entry(asm: Assembler) -> None:
        asm.ext1(code) if code < 256 else asm.ext2(code) if code < 1 << 16 else asm.ext4(code)

    arguments = target.arguments if rng.random() < 0.7 else ()
    made = invoke.Call(entry, arguments)
    form = _weighted(rng, [form for form in invoke.forms(made, protocol) if form != "inst"])
    return Payload(f"extension/{form}", lambda asm: invoke.write_call(asm, made, form, rng))


Compose = Callable[[Random, Target, int], Payload]


def compose(
    rng: Random, target: Target, hosts: Sequence[Host], stuffing: Callable[[Random], Write], made_by: Compose = payload
) -> Sample:
    """A whole sample.

    Parameters
    ----------
    hosts
        Benign pickles to hide in, from the same pool as the target.
    stuffing
        Gives harmless code, for samples that are stuffed with benign calls.
    made_by
        :func:`payload`, :func:`tampering` or :func:`extension`.
    """
    where = rng.choices([*ALONE, *IN_HOST], [*ALONE.values(), *IN_HOST.values()])[0]
    if where in ALONE:
        protocol = rng.choice(PROTOCOLS)
        made = made_by(rng, target, protocol)
        return Sample(f"{made.technique}/{where}", _alone(rng, where, protocol, made.write, stuffing), None)
    host = draw_host(rng, hosts)
    if where == "nested_inside":
        inner_protocol = rng.choice(PROTOCOLS)
        made = made_by(rng, target, inner_protocol)
        write = place.carried(place.bare(inner_protocol, made.write, rng), rng)
        return Sample(f"{made.technique}/{where}", place.PLACES["inside"](host, write, rng), host)
    made = made_by(rng, target, host.protocol)
    return Sample(f"{made.technique}/{where}", place.PLACES[where](host, made.write, rng), host)


def calling_the_result(rng: Random, host: Host) -> Sample:
    """A stream that calls what a benign stream would return: a function rebuilt by cloudpickle or dill."""
    given: tuple[Value, ...] = rng.choice([(), (0.5,), ([1, 2],), ("ok",)])
    made = invoke.Call(lambda asm: asm.recall("result"), given)
    form = _weighted(rng, invoke.forms(made, host.protocol))

    def write(asm: Assembler) -> None:
        asm.store("result").pop()
        invoke.write_call(asm, made, form, rng)

    return Sample(f"rebuilt/{form}/returned", host.splice(host.end, b"", write, b"", rng.random() < 0.85), host)


def _alone(rng: Random, where: str, protocol: int, write: Write, stuffing: Callable[[Random], Write]) -> bytes:
    if where == "no_stop":
        return place.no_stop(protocol, write, rng)
    if where == "broken_after":
        return place.broken_after(protocol, write, rng)
    if where == "nested":
        outer = rng.choice(PROTOCOLS)
        return place.bare(outer, place.carried(place.bare(protocol, write, rng), rng), rng)
    if where == "stuffed":
        return place.bare(protocol, lambda asm: _stuffed(asm, write, stuffing, rng), rng)
    return place.bare(protocol, write, rng)


def _stuffed(asm: Assembler, write: Write, stuffing: Callable[[Random], Write], rng: Random) -> None:
    count = rng.randrange(1, 9)
    hidden = rng.randrange(count)
    for index in range(count):
        stuffing(rng)(asm)
        asm.pop()
        if index == hidden:
            write(asm)
            asm.pop()
    asm.none()


def draw_host(rng: Random, hosts: Sequence[Host]) -> Host:
    """A host from a random decade of size, so that large hosts are as frequent as small ones."""
    decades: dict[int, list[Host]] = {}
    for host in hosts:
        decades.setdefault(len(str(len(host.operations))), []).append(host)
    return rng.choice(decades[rng.choice(sorted(decades))])
