"""What the standard library's callables written in C do, as far as their published signatures tell.

Names and signatures come from typeshed. By hand, and reviewed, is only what no signature says: which modules are
written in C and under which public module they are described, and which functions take a path without touching
the file's content.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator

from safepickle.capabilities.sinks import sink_kind

from .records import NativeCallable
from .stubs import Function, Stub, Typeshed

PARTS: dict[str, tuple[str, str]] = {
    "_collections": ("collections", "OrderedDict defaultdict deque"),
    "_datetime": ("datetime", "date datetime time timedelta timezone tzinfo"),
    "_elementtree": ("xml.etree.ElementTree", "Element SubElement TreeBuilder XMLParser"),
    "_functools": ("functools", "_lru_cache_wrapper cmp_to_key partial reduce"),
    "_md5": ("hashlib", "md5"),
    "_sha1": ("hashlib", "sha1"),
    "_sha2": ("hashlib", "sha224 sha256 sha384 sha512"),
    "_sha256": ("hashlib", "sha224 sha256"),
    "_sha3": ("hashlib", "sha3_224 sha3_256 sha3_384 sha3_512 shake_128 shake_256"),
    "_sha512": ("hashlib", "sha384 sha512"),
    "_signal": (
        "signal",
        "alarm default_int_handler getitimer getsignal pause pthread_kill pthread_sigmask raise_signal set_wakeup_fd "
        "setitimer siginterrupt signal sigpending sigtimedwait sigwait sigwaitinfo strsignal valid_signals",
    ),
    "_zoneinfo": ("zoneinfo", "ZoneInfo"),
    "re": ("re", "Match Pattern"),
    "types": (
        "types",
        "AsyncGeneratorType BuiltinFunctionType CellType ClassMethodDescriptorType CoroutineType FrameType "
        "GeneratorType GenericAlias GetSetDescriptorType MappingProxyType MemberDescriptorType MethodDescriptorType "
        "MethodType MethodWrapperType ModuleType SimpleNamespace TracebackType UnionType WrapperDescriptorType",
    ),
}
"""Names in C that have no stub of their own module: the public module that offers them, and which."""

UNDESCRIBED = {
    "_abc": "_abc_init _abc_instancecheck _abc_register _abc_subclasscheck _get_dump _reset_caches _reset_registry "
    "get_cache_token",
    "_opcode": "get_executor get_specialization_stats has_arg has_const has_exc has_free has_jump has_local has_name "
    "is_valid stack_effect",
    "_sre": "ascii_iscased ascii_tolower getcodesize getlower unicode_iscased unicode_tolower",
    "_statistics": "_normal_dist_inv_cdf",
    "_string": "formatter_field_name_split formatter_parser",
    "_symtable": "symtable",
    "_sysconfig": "config_vars",
    "_tokenize": "TokenizerIter",
    "_typing": "_idfunc",
    "_uuid": "generate_time_safe",
}
"""Names that no stub describes; reviewed: each works on its arguments alone and gives plain data."""

MODULES = tuple(
    """
    _ast _asyncio _bisect _blake2 _bz2 _codecs _contextvars _csv _ctypes _curses _dbm _decimal _gdbm _hashlib _heapq
    _imp _interpchannels _interpqueues _interpreters _io _json _locale _lsprof _lzma _multibytecodec _operator _pickle
    _posixsubprocess _queue _random _socket _sqlite3 _ssl _stat _struct _thread _tkinter _tracemalloc _warnings _weakref
    _winapi array atexit audioop binascii builtins cmath errno faulthandler fcntl gc grp itertools marshal math mmap
    msvcrt nis nt ossaudiodev posix pwd pyexpat readline resource select spwd sys syslog termios time unicodedata winreg
    winsound xxlimited zlib
    """.split()
)
"""Modules that CPython has in C, on any platform."""

ONLY_ASK = frozenset(
    """
    access fspath fstat fstatvfs getcwd getxattr listxattr lstat pathconf readlink stat statvfs
    """.split()
)
"""Functions that take a path and only ask about it."""

PURE = frozenset(
    """
    _abc _ast _bisect _blake2 _bz2 _codecs _collections _contextvars _csv _datetime _decimal _elementtree _functools
    _hashlib _heapq _io _json _locale _lzma _md5 _multibytecodec _opcode _operator _pickle _queue _random _sha1 _sha2
    _sha256 _sha3 _sha512 _sre _stat _statistics _string _struct _symtable _tokenize _typing _uuid _weakref _zoneinfo
    array audioop binascii builtins cmath errno grp itertools marshal math pwd pyexpat re time types unicodedata
    zlib
    """.split()
)
"""Modules whose callables work on their arguments: without a callback, a path or an address they are inert."""

NOT_INERT = frozenset(
    """
    _operator.attrgetter _operator.methodcaller _pickle.Pickler _pickle.Unpickler builtins.__build_class__
    builtins.delattr builtins.dir builtins.getattr builtins.globals builtins.input builtins.locals builtins.setattr
    builtins.super builtins.type builtins.vars types.CoroutineType types.FrameType types.MethodType types.ModuleType
    """.split()
)
"""What gets at other things by name, or makes callables: what it does depends on more than a signature tells."""

PATHS = frozenset("StrPath BytesPath StrOrBytesPath FileDescriptorOrPath GenericPath ReadPath WritePath".split())
ADDRESSES = frozenset(("_Address", "_RetAddress"))
LOOKS_UP = frozenset(("_socket.gethostbyname_ex", "_socket.getnameinfo"))
ANYTHING = "builtins.object"
"""Type of a result of which the signature says nothing."""

PLAIN = frozenset(
    "bool bytearray bytes complex dict float frozenset int list memoryview None range set slice str tuple".split()
)


def native() -> dict[str, NativeCallable]:
    """The callables of the standard library's modules in C, root sinks left out, by full name."""
    typeshed = Typeshed()
    found: dict[str, NativeCallable] = {}
    for module, described, name in _offered(typeshed):
        place = typeshed.find(described, name)
        if place:
            for entry in _entries(typeshed, f"{module}.{name}", *place):
                if not _belongs_to_sink(entry):
                    found[entry.name] = entry
    for module, names in UNDESCRIBED.items():
        found.update((f"{module}.{name}", NativeCallable(f"{module}.{name}")) for name in names.split())
    found["_sre.compile"] = NativeCallable("_sre.compile", parameters=("pattern", "flags"), returns="re.Pattern")
    return found


def _offered(typeshed: Typeshed) -> Iterator[tuple[str, str, str]]:
    """Every name in C, as (its module, the module whose stub describes it, name)."""
    for module in MODULES:
        stub = typeshed.stub(module)
        if stub is not None:
            for name in sorted({*stub.functions, *stub.classes, *stub.aliases, *stub.exported}):
                yield module, module, name
    for module, (described, names) in PARTS.items():
        for name in names.split():
            yield module, described, name


def _belongs_to_sink(entry: NativeCallable) -> bool:
    """Whether it is a root sink, or what makes the instances of one."""
    owner, _, method = entry.name.rpartition(".")
    return bool(sink_kind(entry.name) or (method in ("__init__", "__new__") and sink_kind(owner)))


def _entries(typeshed: Typeshed, full: str, stub: Stub, name: str) -> Iterator[NativeCallable]:
    if name in stub.functions:
        yield _Signature(typeshed, stub, stub.functions[name], full, bound=False).entry("function", "")
    elif name in stub.classes:
        methods = typeshed.methods(stub, name)
        where, makers = methods.get("__init__") or methods.get("__new__") or (stub, [])
        if "__init__" in methods and "__new__" in methods and not _takes_arguments(methods["__init__"][1]):
            where, makers = methods["__new__"]
        yield _Signature(typeshed, where, makers, full, bound=True).entry("class", full)
        for method, (where, overloads) in sorted(methods.items()):
            static = _is_static(overloads[0])
            yield _Signature(typeshed, where, overloads, f"{full}.{method}", bound=not static).entry("method", full)


def _takes_arguments(overloads: list[Function]) -> bool:
    return any(len(node.args.posonlyargs) + len(node.args.args) > 1 or node.args.kwonlyargs for node in overloads)


def _is_static(node: Function) -> bool:
    return any(isinstance(item, ast.Name) and item.id == "staticmethod" for item in node.decorator_list)


class _Signature:
    """All overloads of one callable."""

    def __init__(self, typeshed: Typeshed, stub: Stub, overloads: list[Function], full: str, *, bound: bool) -> None:
        self._typeshed = typeshed
        self._stub = stub
        self._overloads = overloads
        self._full = full
        self._bound = bound

    def entry(self, kind: str, owner: str) -> NativeCallable:
        parameters: dict[str, None] = {}
        calls: dict[str, None] = {}
        reaches: dict[tuple[str, str], None] = {}
        for node in self._overloads:
            for name, annotation in self._parameters(node):
                if not name.startswith("*"):
                    parameters.setdefault(name)
                names = set(self._names(annotation))
                if "Callable" in names or "CallbackAny" in names:
                    calls.setdefault("*" if name.startswith("*") else name)
                if names & PATHS and self._full.rpartition(".")[2] not in ONLY_ASK:
                    reaches.setdefault(("file", name.lstrip("*")))
                if names & ADDRESSES and kind != "class":
                    reaches.setdefault(("network", name.lstrip("*")))
        if self._full in LOOKS_UP:
            reaches.setdefault(("network", "*"))
        returns = owner if kind == "class" else self._returns(owner)
        return NativeCallable(self._full, kind, tuple(parameters), tuple(reaches), tuple(calls), returns)

    def _parameters(self, node: Function) -> Iterator[tuple[str, ast.expr | None]]:
        arguments = node.args
        positional = [*arguments.posonlyargs, *arguments.args][self._bound :]
        for item in [*positional, *arguments.kwonlyargs]:
            yield item.arg, item.annotation
        for item in filter(None, (arguments.vararg, arguments.kwarg)):
            yield f"*{item.arg}", item.annotation

    def _names(self, node: ast.expr | None, depth: int = 0) -> Iterator[str]:
        """The names in an annotation, and those in the aliases among them."""
        for inner in ast.walk(node) if node is not None else ():
            if isinstance(inner, (ast.Name, ast.Attribute)):
                name = inner.id if isinstance(inner, ast.Name) else inner.attr
                yield name
                place = self._typeshed.find(self._stub.module, name) if depth < 4 and name not in PATHS else None
                if place and place[1] in place[0].aliases:
                    within = _Signature(self._typeshed, place[0], [], "", bound=False)
                    yield from within._names(place[0].aliases[place[1]], depth + 1)

    def _returns(self, owner: str) -> str:
        found: list[str] = []
        for node in self._overloads:
            found += self._type(node.returns, node, owner)
        known = [name for name in dict.fromkeys(found) if name not in PLAIN]
        if not known:
            return ""
        return known[0] if len(known) == 1 else next((name for name in known if name[0] != "@"), ANYTHING)

    def _type(self, node: ast.expr | None, function: Function, owner: str) -> list[str]:
        if isinstance(node, ast.BinOp):
            return self._type(node.left, function, owner) + self._type(node.right, function, owner)
        if isinstance(node, ast.Subscript):
            node = node.value
        if node is None or isinstance(node, ast.Constant):
            return ["None"]
        name = ast.unparse(node)
        if name == "Self":
            return [owner or ANYTHING]
        if name in PLAIN or name.rpartition(".")[2] in PLAIN:
            return [name.rpartition(".")[2]]
        for parameter, annotation in self._parameters(function):
            if annotation is not None and ast.unparse(annotation) == name and not parameter.startswith("*"):
                return [f"@{parameter}"]
        place = self._typeshed.find(self._stub.module, name)
        if place and place[1] in place[0].classes:
            full = f"{place[0].module}.{place[1]}"
            return [ANYTHING if full == "typing.Any" else full]
        return [ANYTHING]


def inert(entry: NativeCallable) -> bool:
    """Whether a callable in C does nothing but compute."""
    module = entry.name.partition(".")[0]
    owner = ".".join(entry.name.split(".")[:2])
    return module in PURE and owner not in NOT_INERT and not entry.calls and not entry.reaches
