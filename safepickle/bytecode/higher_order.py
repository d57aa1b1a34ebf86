"""Callables that call what they are handed: which argument, and with what.

These are meanings of the standard library's primitives, not dangers: ``map`` is followed so that the Trace says
what is really called. Where a method of any class of some name is meant, its module is left out.
"""

from __future__ import annotations

_HOW = {
    # the callable with the arguments behind it
    "following": "contextvars.Context.run:1 operator.call:0 Bdb.runcall:1 Profile.runcall:1 Trace.runfunc:1",
    # the same, and its result is not returned
    "later": """
        atexit.register:0 weakref.finalize:1 asyncio.to_thread:0 ThreadPoolExecutor.submit:1
        ProcessPoolExecutor.submit:1 Executor.submit:1 ExitStack.callback:1 BaseEventLoop.call_soon:1
        BaseEventLoop.run_in_executor:2 TestCase.addCleanup:1
    """,
    # the callable with the arguments in the tuple behind it, or in that of the second keyword
    "packed": """
        threading.Timer:1:function:args threading.Thread:1:target:args multiprocessing.Process:1:target:args
        multiprocessing.context.Process:1:target:args _thread.start_new_thread:0 builtins.apply:0 Pool.apply:1
        Pool.apply_async:1 sched.scheduler.enter:3:action:argument sched.scheduler.enterabs:3:action:argument
    """,
    # the callable with an item of each iterable behind it
    "each": """
        builtins.map:0 itertools.imap:0 ThreadPoolExecutor.map:1 ProcessPoolExecutor.map:1 Executor.map:1 Pool.map:1
        Pool.imap:1 Pool.imap_unordered:1 Pool.map_async:1
    """,
    # the callable with the items of each item of the iterable behind it
    "unpacked": "itertools.starmap:0 Pool.starmap:1 Pool.starmap_async:1",
    # the callable with each item of the iterable, which is the other argument
    "item": """
        builtins.filter:0 itertools.ifilter:0 itertools.takewhile:0 itertools.dropwhile:0 itertools.filterfalse:0
        itertools.groupby:1:key builtins.sorted:-1:key builtins.min:-1:key builtins.max:-1:key
        builtins.list.sort:-1:key heapq.nlargest:2:key heapq.nsmallest:2:key
    """,
    # the callable with two items of the iterable, which is the other argument
    "pair": "functools.reduce:0 builtins.reduce:0 itertools.accumulate:1:func",
    # the callable without arguments
    "nothing": "builtins.iter:0",
    # the callable with what cannot be told
    "something": """
        re.sub:1:repl re.subn:1:repl re.Pattern.sub:1:repl re.Pattern.subn:1:repl re.compile.sub:1:repl
        re.compile.subn:1:repl re._compile.sub:1:repl re._compile.subn:1:repl types.new_class:3:exec_body
        codecs.register:0 codecs.register_error:1 signal.signal:1 sys.settrace:0 sys.setprofile:0 sys.addaudithook:0
        threading.settrace:0 threading.setprofile:0 ExitStack.push:1 ExitStack.enter_context:1 json.loads:-1:object_hook
        json.loads:-1:object_pairs_hook json.loads:-1:parse_int json.loads:-1:parse_float json.loads:-1:parse_constant
        inspect.getmembers:1:predicate
    """,
}

LAZY = frozenset(
    """
    builtins.map itertools.imap builtins.filter itertools.ifilter itertools.starmap itertools.takewhile
    itertools.dropwhile itertools.filterfalse itertools.accumulate itertools.groupby builtins.iter
    """.split()
)
"""Callers that call only when what they return is consumed."""
PASSING = frozenset(
    """
    builtins.zip builtins.enumerate builtins.reversed itertools.chain itertools.chain.from_iterable itertools.cycle
    itertools.islice itertools.zip_longest itertools.tee itertools.pairwise itertools.product itertools.compress
    """.split()
)
"""What they return consumes their arguments when it is consumed."""
_HOLDING = """
    functools.partial:0:func functools.partialmethod:0:func functools.cmp_to_key:0:mycmp functools.cache:0
    functools.lru_cache:0 functools.singledispatch:0:func functools.cached_property:0:func contextlib.contextmanager:0
    builtins.staticmethod:0 builtins.classmethod:0 builtins.property:0:fget types.MethodType:0
    weakref.proxy:0 weakref.WeakMethod:0 unittest.mock.Mock:1:side_effect unittest.mock.MagicMock:1:side_effect
    unittest.mock.NonCallableMock:1:side_effect collections.defaultdict:0
"""


class Caller:
    """How a callable calls one of its arguments: its `position` (-1 if it has none) or its `keyword`."""

    __slots__ = ("how", "keyword", "packed", "position")

    def __init__(self, how: str, text: str) -> None:
        position, _, keywords = text.partition(":")
        self.how = how
        self.position = int(position)
        self.keyword, _, self.packed = keywords.partition(":")


def _table(how: str, text: str) -> list[tuple[str, Caller]]:
    return [(word.partition(":")[0], Caller(how, word.partition(":")[2])) for word in text.split()]


CALLERS: dict[str, tuple[Caller, ...]] = {}
"""What calls an argument of its own when it is called, or when its result is consumed if it is in :data:`LAZY`."""
for _how, _names in _HOW.items():
    for _name, _caller in _table(_how, _names):
        CALLERS[_name] = (*CALLERS.get(_name, ()), _caller)

HOLDERS: dict[str, Caller] = dict(_table("held", _HOLDING))
"""What returns something that calls the argument once it is called itself."""
