"""Tiny benign streams, written by the assembler: a call or two of something harmless, in few opcodes.

Without them a detector could tell hostile files by their size, or by the hand of the assembler.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from random import Random

from ..assemble import reach, words
from ..assemble.literals import Named, Value, push
from ..assemble.reach import call, nested, value
from ..assemble.stream import Assembler
from .plain import text
from .saved import Saved

HARMLESS: tuple[tuple[str, str, tuple[Value, ...]], ...] = (
    ("collections", "OrderedDict", ()),
    ("collections", "Counter", ({"a": 2},)),
    ("collections", "deque", ([1, 2, 3],)),
    ("collections", "defaultdict", (Named("builtins", "list"),)),
    ("datetime", "date", (2021, 5, 17)),
    ("datetime", "timedelta", (1, 30, 0)),
    ("decimal", "Decimal", ("1.50",)),
    ("fractions", "Fraction", ("1/3",)),
    ("uuid", "UUID", ("12345678123456781234567812345678",)),
    ("pathlib", "PurePosixPath", ("data", "train.csv")),
    ("pathlib", "PosixPath", ("/", "home", "user")),
    ("pathlib", "WindowsPath", ("C:", "data")),
    ("argparse", "Namespace", ()),
    ("types", "SimpleNamespace", ()),
    ("builtins", "set", ([1, 2],)),
    ("builtins", "frozenset", (["a", "b"],)),
    ("builtins", "complex", (1.0, 2.0)),
    ("builtins", "slice", (0, 5, None)),
    ("builtins", "range", (0, 10, 1)),
    ("builtins", "bytearray", (b"abc",)),
    ("builtins", "object", ()),
    ("_codecs", "encode", ("caf\u00e9", "latin1")),
    ("operator", "itemgetter", ("name",)),
    ("operator", "attrgetter", ("name",)),
    ("re", "_compile", ("[a-z]+", 32)),
    ("numpy", "dtype", ("f8", False, True)),
    ("numpy.core.multiarray", "_reconstruct", (Named("numpy", "ndarray"), (0,), b"b")),
    ("numpy._core.multiarray", "scalar", (Named("numpy", "float64"), b"\0" * 8)),
    ("torch", "Size", ([1, 3],)),
    ("torch", "device", ("cpu",)),
    ("copyreg", "_reconstructor", (Named("builtins", "object"), Named("builtins", "object"), None)),
    ("functools", "partial", (Named("builtins", "int"),)),
    ("builtins", "getattr", (Named("keras.src.models.sequential", "Sequential"), "_unpickle_model")),
    ("builtins", "getattr", (Named("torch.optim.lr_scheduler", "LambdaLR"), "step")),
    ("sklearn.feature_extraction.text", "CountVectorizer", ()),
    ("scipy.sparse._csr", "csr_matrix", ((2, 2),)),
    ("transformers.trainer_utils", "IntervalStrategy", ("steps",)),
    ("accelerate.utils.dataclasses", "DistributedType", ("NO",)),
    ("omegaconf.base", "ContainerMetadata", ()),
)  # fmt: skip
CLASSES = (
    ("sklearn.linear_model._base", "LinearRegression"), ("sklearn.preprocessing._data", "StandardScaler"),
    ("sklearn.tree._classes", "DecisionTreeClassifier"), ("sklearn.svm._classes", "SVC"),
    ("torch.nn.modules.linear", "Linear"),
    ("argparse", "Namespace"), ("types", "SimpleNamespace"), ("gensim.models.word2vec", "Word2Vec"),
    ("logging", "Logger"),
    ("surprise.prediction_algorithms.matrix_factorization", "SVD"), ("spacy.vocab", "Vocab"),
    ("nltk.probability", "FreqDist"),
    ("statsmodels.iolib.table", "SimpleTable"), ("networkx.classes.graph", "Graph"), ("lightgbm.basic", "Booster"),
)  # fmt: skip
PLAIN = ("global", "stack_global", "memo")
ROUNDABOUT = ("string_opcodes", "decoy", "join", "codec")
"""Ways of naming a callable that hostile files use, and that do nothing by themselves: they import no module."""
HOW_OFTEN = 0.3
"""Share of the calls whose callable is named so."""
Write = Callable[[Assembler], object]


def harmless(rng: Random, pool: str) -> tuple[str, Write]:
    """Code that leaves one harmless value: a call, an instance with its state, a bare class, or a literal."""
    kind = rng.choices(
        ("call", "novel-call", "instance", "class", "literal", "partial", "getattr"), (30, 22, 24, 7, 7, 6, 4)
    )[0]
    if kind == "call":
        module, name, arguments = rng.choice(HARMLESS)
        return kind, _calling(rng, module, name, pool, arguments)
    if kind == "novel-call":
        name = words.class_name(rng, pool) if rng.random() < 0.5 else words.function(rng, pool)
        return kind, _calling(rng, words.module(rng, pool), name, pool, _ordinary(rng))
    if kind == "instance":
        known = rng.random() < 0.4
        module, name = rng.choice(CLASSES) if known else (words.module(rng, pool), words.class_name(rng, pool))
        return kind, _instance(rng, module, name)
    if kind == "class":
        return kind, value(Named(*rng.choice(CLASSES)))
    if kind == "partial":
        inner = Named(words.project_module(rng, pool), words.function(rng, pool))
        return kind, lambda asm: call(
            asm, value(Named("functools", "partial")), value(inner), *map(value, _ordinary(rng))
        )
    if kind == "getattr":
        inner = Named(words.project_module(rng, pool), words.class_name(rng, pool))
        method = value(words.function(rng, pool))
        return kind, lambda asm: call(asm, nested(reach.GETATTR, value(inner), method), *map(value, _ordinary(rng)))
    return kind, value(rng.choice([text(rng), 3, [1, 2], {"a": 1.5}, None, (True, "x")]))


def _ordinary(rng: Random) -> tuple[Value, ...]:
    some: list[Value] = [text(rng), rng.randrange(9999), rng.random(), None, True, [1, 2], {"lr": 0.1},
                         rng.choice(words.PLAIN),                         (2, 3), b"\0\1\2\3"]  # fmt: skip
    return tuple(rng.choice(some) for _ in range(rng.randrange(0, 4)))


def _calling(rng: Random, module: str, name: str, pool: str, arguments: tuple[Value, ...]) -> Write:
    site = reach.Site(module, name, (), pool)
    form = rng.choice(("reduce", "reduce", "reduce", "reduce", "obj", "inst", "newobj"))
    drawn, roundabout = rng.random(), rng.random() < HOW_OFTEN

    def write(asm: Assembler) -> None:
        if form == "inst" or (form == "obj" and asm.protocol < 1):
            asm.mark()
            for argument in arguments:
                push(asm, argument)
            asm.inst(module, name)
        elif form == "obj":
            asm.mark()
            push(asm, Named(module, name))
            for argument in arguments:
                push(asm, argument)
            asm.obj()
        elif form == "newobj" and asm.protocol >= 2:
            push(push(asm, Named(module, name)), arguments).newobj()
        else:
            wanted = ROUNDABOUT if roundabout else PLAIN
            ways = [way for way in reach.ways(site, asm.protocol) if way in wanted]
            call(
                asm,
                lambda inner: reach.push_site(inner, site, ways[int(drawn * len(ways))], rng),
                *map(value, arguments),
            )

    return write


def _instance(rng: Random, module: str, name: str) -> Write:
    state: dict[Value, Value] = {rng.choice(words.PLAIN): text(rng) for _ in range(rng.randrange(1, 4))}
    state[rng.choice(words.PLAIN)] = rng.choice([rng.random(), None, [0.1, 0.2], (1, 2), rng.randrange(99)])
    old = rng.random() < 0.2
    tupled = rng.random() < 0.1

    def write(asm: Assembler) -> None:
        if asm.protocol < 2 or old:
            call(asm, value(Named("copyreg", "_reconstructor")), value(Named(module, name)),
                 value(Named("builtins", "object")), value(None))  # fmt: skip
        else:
            push(push(asm, Named(module, name)), ()).newobj()
        push(asm, (None, state) if tupled else state).build()

    return write


def produce(rng: Random, count: int, pool: str) -> Iterator[Saved]:
    """Yield streams of 1 to about 40 opcodes."""
    for _ in range(count):
        kind, write = harmless(rng, pool)
        protocol = rng.choice((0, 1, 2, 2, 3, 4, 4, 4, 5))
        asm = Assembler(protocol, framed=protocol >= 4 and rng.random() < 0.6)
        shape = rng.randrange(5)
        if shape == 0:
            asm.empty_dict().text(rng.choice(words.PLAIN)) if protocol else asm.mark().dict_().text("model")
            write(asm)
            asm.setitem()
        elif shape == 1 and protocol:
            asm.empty_list()
            write(asm)
            asm.append()
        elif shape == 2:
            harmless(rng, pool)[1](asm)
            asm.pop()
            write(asm)
        else:
            write(asm)
            if rng.random() < 0.3:
                asm.store("result")
        data = asm.assemble()
        yield Saved(f"tiny-{kind}", "assembled", data, data)
