"""What is known of a callable, in words and as JSON."""

from __future__ import annotations

from ..capabilities.layout import CALL
from ..capabilities.sinks import EFFECTS, effect_of
from .printable import printable

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from ..capabilities.capability import Capability, Reach, Step
    from ..features.prevalence import Prevalence

_NOTHING_KNOWN = "  nothing is known: its module was never analysed"


def capability_text(name: str, capability: Capability | None, prevalence: Prevalence) -> Iterator[str]:
    """Lines about a name: what it is, what it reaches and on what way, and how usual it is."""
    yield printable(name)
    if capability is None:
        yield _NOTHING_KNOWN
    else:
        if capability.name != name:
            yield f"  is really {printable(capability.name)}"
        where = _place(capability.package, capability.versions, capability.path, capability.line)
        if where:
            known = capability.status in ("analysed", "native")
            yield f"  {capability.form or 'name'} in {where}" if known else f"  looked for in {where}"
        yield from _facts(capability)
    used = prevalence.groups_with(name if capability is None else capability.name) or prevalence.groups_with(name)
    yield f"  used by benign models of {used} of {prevalence.groups} sources"


def _facts(capability: Capability) -> Iterator[str]:
    if capability.status == "root":
        yield f"  is a root sink: it {EFFECTS[capability.reaches[0].kind]} ({capability.reaches[0].kind})"
        return
    if capability.status == "unresolvable":
        yield "  does not exist in any of these versions"
        return
    if capability.status == "dynamic":
        yield "  may exist: its module or class makes names at run time, or has bases that were not analysed"
        return
    for reach in (*capability.reaches, *capability.derived):
        yield from _reach(capability, reach)
    if capability.calls:
        yield "  calls what it is passed"
    if capability.inert:
        yield "  inert: it is fully understood, and nothing that it is passed gets anywhere"
    elif capability.unknown:
        yield "  does something that was not understood, so it may reach more"
    elif not (capability.reaches or capability.derived or capability.calls):
        yield "  hands nothing that it is passed to a root sink; what it does by itself is not near enough to be told"
    if capability.status == "native":
        yield "  written in C: told from published signatures, not from source"


def _reach(capability: Capability, reach: Reach) -> Iterator[str]:
    witness = reach.witness
    effect = effect_of(reach.kind, witness[-1].name if witness else "")
    calls = f"{reach.depth} call{'s' * (reach.depth != 1)} deep" if reach.depth else "itself"
    flows = "with what it is passed" if reach.flows else "whatever it is passed"
    implicit = ", by methods that loading calls" if reach.implicit else ""
    yield f"  {effect} ({reach.kind}), {flows}, {calls}{implicit}"
    for step in witness:
        yield f"    -> {_step(step)}"


def _step(step: Step) -> str:
    where = _place(step.package, (step.version,), step.path, step.line)
    return f"{printable(step.name)}  [{where}]" if where else printable(step.name)


def _place(package: str, versions: tuple[str, ...], path: str, line: int) -> str:
    if not package:
        return ""
    place = f"{path}:{line}" if path and line else path
    return printable(f"{package} {', '.join(versions)}{': ' if place else ''}{place}", 400)


def capability_json(name: str, capability: Capability | None, prevalence: Prevalence) -> dict[str, object]:
    """The same for JSON; ``status`` is ``unknown`` if the module was never analysed."""
    told: dict[str, object] = {"name": name, "status": "unknown"}
    used = prevalence.groups_with(name)
    if capability is not None:
        told = {
            "name": name,
            "is": capability.name,
            "status": capability.status,
            "form": capability.form,
            "package": capability.package,
            "versions": list(capability.versions),
            "path": capability.path,
            "line": capability.line,
            "inert": capability.inert,
            "unknown": capability.unknown,
            CALL + "s": capability.calls,
            "reaches": [_reach_json(reach) for reach in (*capability.reaches, *capability.derived)],
        }
        used = prevalence.groups_with(capability.name) or used
    told["benign_sources"] = {"using": used, "of": prevalence.groups}
    return told


def _reach_json(reach: Reach) -> dict[str, object]:
    return {
        "kind": reach.kind,
        "depth": reach.depth,
        "flows": reach.flows,
        "implicit": reach.implicit,
        "witness": [dict(step.__dict__) for step in reach.witness],
    }
