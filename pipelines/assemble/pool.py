"""Choose the callables that assembled malicious files call: ``python -m pipelines.assemble.pool``.

Reads the source of the standard library and of the installed model libraries (never imports them) and writes
``callables.yaml``: training data, split by top-level module into a train and a test pool. The scanner never reads it.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
import sysconfig
from collections import Counter, defaultdict
from collections.abc import Iterable
from pathlib import Path
from random import Random
from typing import Any

import yaml

from .callgraph import Callable, Graph, Module, parse

TARGET = Path(__file__).with_name("callables.yaml")
PACKAGES = tuple(
    "numpy scipy pandas sklearn joblib torch dill cloudpickle fsspec setuptools PIL matplotlib networkx sympy jinja2 "
    "requests yaml lightgbm xgboost catboost onnx hydra omegaconf git celery dvc kombu psutil click pip".split()
)
PARAMETER_KINDS = {
    "shell": "cmd command cmdline commandline command_line shell_cmd",
    "argv": "argv cmds popenargs cmd_args",
    "code": "code source src stmt statement expr expression script codestring code_string program s string text cstr",
    "path": "path file filename fname fp fullname pathname dir directory dst folder root filepath f dest target "
    "filename_or_obj filepath_or_buffer path_or_buf io cache_path lib libname so_path fn outfile infile",
    "url": "url uri host hostname address server urlpath remote endpoint",
    "dotted": "module mod_name modname module_name mod import_name package dotted qualname fullname import_path",
    "bytes": "data buf buffer bytes b payload pickled blob byte_string",
    "number": "port timeout level n mode size count",
}
KIND_OF = {word: kind for kind, words in reversed(PARAMETER_KINDS.items()) for word in words.split()}
FITTING = {
    "exec": {"code", "path", "dotted"},
    "process": {"shell", "argv", "path", "url"},
    "deserialize": {"bytes", "path"},
    "native": {"path", "dotted"},
    "network": {"url"},
    "file": {"path", "url"},
    "import": {"dotted", "path", "code"},
}
# (callable, effect, argument kinds): the sinks themselves, most of them in C and therefore without source.
ROOTS = """
os.system process shell | os.popen process shell | os.execl process path path | os.execv process path argv
os.spawnv process number path argv | os.posix_spawn process path argv env | os.remove file path
os.putenv environment word word | posix.system process shell | posix.execv process path argv
nt.system process shell | posix.remove file path | os.rename file path path | os.symlink file path path
builtins.eval exec code | builtins.exec exec code | builtins.open file path mode | builtins.__import__ import dotted
builtins.compile exec code word mode | subprocess.Popen process argv | subprocess.run process argv
subprocess.call process shell | subprocess.check_output process argv | subprocess.getoutput process shell
subprocess.getstatusoutput process shell | subprocess.check_call process argv
io.open file path mode | _io.open file path mode | _io.FileIO file path mode | _io.open_code file path
marshal.loads deserialize bytes | _pickle.loads deserialize bytes | pickle.loads deserialize bytes
_pickle.Unpickler deserialize bytes
ctypes.CDLL native path | _ctypes.dlopen native path number | socket.create_connection network address
socket.getaddrinfo network url number | _socket.gethostbyname network url | _socket.socket network number number
_posixsubprocess.fork_exec process argv argv | importlib.import_module import dotted
imp.load_source import word path | runpy.run_path exec path | runpy.run_module exec dotted
code.interact exec code | pty.spawn process argv | types.CodeType exec number number number number number number bytes
_frozen_importlib_external.SourceFileLoader import word path | zipimport.zipimporter import path
sqlite3.connect file path | _sqlite3.connect file path | _winapi.CreateProcess process path shell
winreg.CreateKey persistence word path | signal.raise_signal process number | sys.settrace tamper dotted
faulthandler.enable tamper path | sys.addaudithook tamper dotted | _thread.start_new_thread exec dotted tuple
mmap.mmap file number number | readline.read_init_file file path | syslog.syslog tamper word
""".replace("\n", "|")
SAVERS_OWN = frozenset(
    "cloudpickle.cloudpickle._make_function cloudpickle.cloudpickle.subimport cloudpickle.cloudpickle._builtin_type "
    "cloudpickle.cloudpickle.dynamic_subimport dill._dill._create_function dill._dill._create_code "
    "dill._dill._import_module dill._dill._load_type dill._dill._create_type torch.storage._load_from_bytes".split()
)
"""What savers write into benign files: never hostile by name."""
POOL_OF = {
    "builtins": "train",
    "os": "train",
    "posix": "train",
    "nt": "train",
    "subprocess": "train",
    "io": "train",
    "pickle": "train",
}


def pool_of(module: str) -> str:
    """``train`` or ``test`` for a module: by its top-level package, C twins (``_io``) with their Python module."""
    package = module.split(".")[0].lstrip("_") or module
    if package in POOL_OF:
        return POOL_OF[package]
    return "train" if hashlib.sha256(package.encode()).digest()[0] % 10 < 6 else "test"


def argument_kinds(found: Callable, effect: str) -> list[str]:
    """Kinds of inert arguments for a callable's required parameters, or for the first optional one that is telling."""
    kinds = [_kind(name, effect) for name in found.parameters[: min(found.required, 4)]]
    if not kinds:
        kinds = [kind for name in found.parameters[:2] if (kind := _kind(name, effect)) in FITTING[effect]][:1]
    return kinds


def _kind(parameter: str, effect: str) -> str:
    kind = KIND_OF.get(parameter.lstrip("_"), "word")
    return "code" if kind == "shell" and effect == "exec" else kind


def roots() -> list[dict[str, Any]]:
    """The sinks themselves."""
    entries = []
    for line in filter(None, (part.strip() for part in ROOTS.split("|"))):
        full, effect, *kinds = line.split()
        module, _, name = full.rpartition(".")
        entries.append(_entry(module, name, "class" if name[0].isupper() else "function", effect, kinds, 0))
    return entries


def _entry(module: str, name: str, kind: str, effect: str, kinds: list[str], distance: int) -> dict[str, Any]:
    return {
        "module": module, "name": name, "kind": kind, "effect": effect, "arguments": kinds, "distance": distance,
        "pool": pool_of(module),
    }  # fmt: skip


def candidates(graph: Graph) -> list[dict[str, Any]]:
    """Callables that reach a sink within three calls and take an argument that could carry what the sink acts on.

    File, network and import sinks count only where a parameter is named for it; otherwise half of every library
    would be called malicious for opening its own configuration.
    """
    entries = []
    reached = graph.reached()
    for full, found in graph.callables.items():
        if full not in reached or full in SAVERS_OWN:
            continue
        if found.kind == "property" or found.name.rpartition(".")[2].startswith("__"):
            continue
        if found.kind == "method" and not graph.owner_is_simple(found):
            continue
        effect, distance = reached[full]
        kinds = argument_kinds(found, effect)
        strong = effect in ("exec", "process", "deserialize", "native")
        if FITTING[effect].isdisjoint(kinds) and not (strong and distance == 1 and kinds):
            continue
        if found.kind != "class" or strong or distance == 1:
            entries.append(_entry(found.module, found.name, found.kind, effect, kinds, distance))
    return entries


def choose(entries: Iterable[dict[str, Any]], seed: int, per_module: int, per_package: int) -> list[dict[str, Any]]:
    """A random choice with quotas a module and a package; executing effects are preferred three to one."""
    rng = Random(f"{seed}:pool")
    weak = {"file", "import", "network"}
    ranked = sorted(
        (
            (rng.random() * (3.0 if entry["effect"] in weak else 1.0), index, entry)
            for index, entry in enumerate(entries)
        ),
        key=lambda item: item[:2],
    )
    modules: Counter[str] = Counter()
    packages: Counter[str] = Counter()
    chosen = []
    for _, _, entry in ranked:
        module, package = entry["module"], entry["module"].split(".")[0]
        if modules[module] < per_module and packages[package] < per_package:
            modules[module] += 1
            packages[package] += 1
            chosen.append(entry)
    return chosen


def aliases(entries: list[dict[str, Any]], modules: dict[str, Module], seed: int) -> None:
    """Add to each entry up to three names by which modules of its pool re-export it (in place)."""
    holders: dict[str, list[tuple[str, str]]] = defaultdict(list)
    for module in modules.values():
        for local, target in module.top_level.items():
            if not local.startswith("__"):
                holders[target].append((module.name, local))
    rng = Random(f"{seed}:aliases")
    for entry in entries:
        direct = [list(found) for found in holders.get(f"{entry['module']}.{entry['name']}", [])]
        dotted = [[where, f"{local}.{entry['name']}"] for where, local in holders.get(entry["module"], [])]
        found = [item for item in direct + dotted if pool_of(item[0]) == entry["pool"]]
        if found:
            entry["aliases"] = sorted(rng.sample(found, min(3, len(found))))


def main(arguments: list[str] | None = None) -> None:
    """Write the pools anew."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--output", type=Path, default=TARGET)
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args(arguments)
    paths = sysconfig.get_paths()
    modules = parse(Path(paths["stdlib"]))
    known = set(modules)
    for package in PACKAGES:
        folder = Path(paths["purelib"]) / package
        if folder.is_dir():
            modules.update(parse(folder, f"{package}."))
    graph = Graph(modules)
    found = candidates(graph)
    ours = [entry for entry in found if entry["module"] in known]
    theirs = [entry for entry in found if entry["module"] not in known]
    chosen = roots() + choose(ours, options.seed, 4, 14) + choose(theirs, options.seed, 2, 24)
    unique = {(entry["module"], entry["name"]): entry for entry in reversed(chosen)}
    entries = [unique[key] for key in sorted(unique)]
    aliases(entries, modules, options.seed)
    head = "# Training data, written by `python -m pipelines.assemble.pool`; the scanner never reads it.\n"
    lines = [yaml.safe_dump(e, default_flow_style=True, width=1000, sort_keys=False).strip() for e in entries]
    options.output.write_text(head + "callables:\n" + "".join(f"- {line}\n" for line in lines), encoding="utf-8")
    print(f"{len(entries)} of {len(found)} callables written to {options.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
