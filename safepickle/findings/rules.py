"""What each rule means, which weaknesses and techniques it belongs to, and what to do about it.

The ids are stable: they name a rule in SARIF, in stored scans and in the documentation. Sources: the Common Weakness
Enumeration, https://cwe.mitre.org, and MITRE ATLAS 5, https://atlas.mitre.org.
"""

from __future__ import annotations

from ..capabilities.sinks import EFFECTS
from ..record import Record

TECHNIQUES = {
    "AML.T0010.003": "AI Supply Chain Compromise: Model",
    "AML.T0011.000": "User Execution: Unsafe AI Artifacts",
    "AML.T0018.002": "Manipulate AI Model: Embed Malware",
    "AML.T0025": "Exfiltration via Cyber Means",
    "AML.T0029": "Denial of AI Service",
    "AML.T0050": "Command and Scripting Interpreter",
    "AML.T0074": "Masquerading",
    "AML.T0076": "Corrupt AI Model",
}
"""Names of the ATLAS techniques that rules refer to."""

WEAKNESSES = {
    73: "External Control of File Name or Path",
    78: "OS Command Injection",
    94: "Code Injection",
    95: "Eval Injection",
    114: "Process Control",
    400: "Uncontrolled Resource Consumption",
    436: "Interpretation Conflict",
    470: "Unsafe Reflection",
    502: "Deserialization of Untrusted Data",
    506: "Embedded Malicious Code",
    829: "Inclusion of Functionality from Untrusted Control Sphere",
    915: "Improperly Controlled Modification of Dynamically-Determined Object Attributes",
    918: "Server-Side Request Forgery (SSRF)",
}
"""Names of the CWE entries that rules refer to."""


class Rule(Record):
    """A kind of evidence.

    Parameters
    ----------
    id
        Stable.
    title
        What it is, in a few words.
    meaning
        What it says of a file, in a sentence or two.
    severities
        The severities that it comes with, worst first, and when.
    advice
        What to do.
    cwe
        Numbers of CWE entries.
    atlas
        Ids of ATLAS techniques.
    """

    id: str
    title: str
    meaning: str
    severities: str
    advice: str
    cwe: tuple[int, ...] = (502,)
    atlas: tuple[str, ...] = ()


_DROP = "Do not load it. Remove it, and get the model from a source you trust, best as safetensors."
_READ = "Have someone read what it calls (safepickle explain FILE) before it is loaded."
_KNOWN = "Nothing, when the file is your own or the library is; else read it with safepickle explain FILE."
_CHECK = "Nothing by itself. Compare with the file that its producer published."

_KIND_CWE = {
    "exec": (502, 94, 95), "process": (502, 78), "import": (502, 470, 829), "native": (502, 114, 829),
    "deserialize": (502,), "file": (502, 73), "network": (502, 918),
}  # fmt: skip
_KIND_ATLAS = {
    "exec": ("AML.T0011.000", "AML.T0018.002", "AML.T0050"),
    "process": ("AML.T0011.000", "AML.T0018.002", "AML.T0050"),
    "import": ("AML.T0011.000", "AML.T0018.002"),
    "native": ("AML.T0011.000", "AML.T0018.002"),
    "deserialize": ("AML.T0011.000",),
    "file": ("AML.T0011.000", "AML.T0018.002"),
    "network": ("AML.T0011.000", "AML.T0018.002", "AML.T0025"),
}
_CALLED = {
    "import": "high; info when the module is named by a literal, which is what every pickle does that names a class",
    "deserialize": "high; info when it is given a literal, and what is in that was read as well",
    "exec": "critical", "process": "critical", "native": "critical", "file": "high", "network": "high",
}  # fmt: skip
_REACHED = {
    "import": "medium; low when nothing is imported and only something looked up by its name; info when the module is "
    "named by a literal, or a model file is handed over that was read as well",
    "deserialize": "medium; info when it is given a literal or a model file, and what is in that was read as well",
    "file": "medium; info when it is given a model file that was read as well",
    "exec": "high", "process": "high", "native": "high", "network": "medium",
}  # fmt: skip
_LESS = "; one step less when benign training files call it too"
_HANDED = {"exec": "high", "process": "high", "native": "high"}


def _of_kinds() -> list[Rule]:
    rules = []
    for kind, effect in EFFECTS.items():
        cwe, atlas = _KIND_CWE[kind], _KIND_ATLAS[kind]
        rules += [
            Rule(
                f"call-{kind}", f"{effect}", f"Loading the file calls something that {effect}, by itself.",
                _CALLED[kind], _DROP, cwe, atlas,
            ),
            Rule(
                f"reach-{kind}", f"{effect} through a library",
                f"Loading the file calls a library function that hands what it is given on to something that {effect}; "
                "the way was derived from the library's source, and is shown.",
                _REACHED[kind] + _LESS, _READ, cwe, atlas,
            ),
            Rule(
                f"passes-{kind}", f"hands over what {effect}",
                f"A callee is handed a callable that {effect}, and may call it.",
                f"{_HANDED.get(kind, 'medium')}; low when the callee is known to call nothing it is given", _READ, cwe,
                atlas,
            ),
            Rule(
                f"import-{kind}", f"names what {effect}",
                f"The file names something that {effect}, but does not call it while it is loaded. Ordinary models do "
                "not name it.",
                "low; info when only an attribute of it is looked up", _READ, cwe, atlas[:1],
            ),
        ]  # fmt: skip
    return rules


_CALLEES = [
    Rule(
        "makes-code", "makes functions from code in the file",
        "The file carries compiled Python code, as cloudpickle and dill write for lambdas and classes. Loading makes "
        "functions of it and does not run it; whoever calls them later does.",
        "info", _KNOWN, (502, 94), ("AML.T0011.000",),
    ),
    Rule(
        "runs-made-code", "runs code that is in the file",
        "The file makes a function from code that it carries, and calls it while it is loaded.",
        "critical; high when it is handed to something that may call it", _DROP, (502, 94, 506),
        ("AML.T0011.000", "AML.T0018.002", "AML.T0050"),
    ),
    Rule(
        "computed-callee", "calls something that is only known at load time",
        "The name of what is called is computed by the file itself, in a way that could not be followed.",
        "high; medium when the callee may be no callable at all", _READ, (502, 470), ("AML.T0011.000", "AML.T0074"),
    ),
    Rule(
        "result-callee", "calls what another call returned",
        "No benign training file calls a result of this callee; what runs depends on that result.",
        "medium", _READ, (502, 470), ("AML.T0011.000",),
    ),
    Rule(
        "extension-callee", "uses the extension registry",
        "What a number in the copyreg extension registry means depends on the program that loads the file.",
        "medium", _READ, (502, 470), ("AML.T0011.000",),
    ),
    Rule(
        "build-on-global", "changes the program that loads it",
        "Attributes or items are planted on a class, function or module, which belongs to the loading program.",
        "high", _DROP, (502, 915), ("AML.T0011.000", "AML.T0018.002"),
    ),
    Rule(
        "unknown-with-argument", "calls unknown code with a telling argument",
        "No benign training file calls it, what it does is not known, and an argument reads like a command, code, a "
        "path, a URL or a host.",
        "medium", _READ, (502,), ("AML.T0011.000",),
    ),
    Rule(
        "unknown-function", "calls an unknown function",
        "No benign training file calls it, and what it does is not known: code of a library or a project.",
        "medium for a function of the standard library, low for any other", _READ, (502,), ("AML.T0011.000",),
    ),
    Rule(
        "own-class", "needs a class of the loading program",
        "The class belongs to the script that wrote the file (module __main__), and must be there when it is loaded.",
        "info", "Nothing, when the file is your own. Save weights instead of whole objects to get rid of it.",
    ),
]  # fmt: skip

_STREAMS = [
    Rule(
        "not-understood", "stops being a pickle",
        "A loader would fail here, or read on in its own way; what ran before still ran.",
        "medium; low when the bytes simply end", "Do not take it for safe. Get the file again, and compare the two.",
        (502, 436), ("AML.T0076",),
    ),
    Rule(
        "odd-budget", "a limit of the scan was reached",
        "What lies behind the limit was not looked at.",
        "medium", "Do not take it for safe; no ordinary model needs that much.", (502, 400), ("AML.T0029",),
    ),
    Rule(
        "odd-reading", "readers would differ on it",
        "Unpicklers, or unpacking programs, do not agree on what these bytes mean; all their readings were followed.",
        "low; info when two formats accept the same bytes", _READ, (502, 436), ("AML.T0074",),
    ),
    Rule(
        "odd-name", "computes a name",
        "Ordinary files write names out; this one puts one together, or writes it as bytes. What it comes to was "
        "followed as far as possible.",
        "low", _READ, (502, 470), ("AML.T0074",),
    ),
    Rule(
        "odd-structure", "is not as its format wants it",
        "A well-formed file of its kind does not have this; it is no proof of anything.",
        "info", _CHECK, (502,), ("AML.T0076",),
    ),
    Rule(
        "model-score", "reads like a malicious file",
        "The ensemble of detectors knows such files as malicious ones; the call that one of them finds worst is named.",
        "medium", "Have an analyst look, or load it in a sandbox without network.", (502,),
        ("AML.T0010.003", "AML.T0011.000"),
    ),
    Rule(
        "unlike-anything", "is like nothing that the model has seen",
        "A low score says little of a file that is like neither benign nor malicious ones: better asked than guessed.",
        "medium", "Have an analyst look; a label of his teaches the model what it is.", (502,), ("AML.T0076",),
    ),
]  # fmt: skip

RULES: dict[str, Rule] = {rule.id: rule for rule in (*_of_kinds(), *_CALLEES, *_STREAMS)}
"""Every rule by its id."""
