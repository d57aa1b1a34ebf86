"""Ways to write it: what module `m` is, the name in it that must flow to exec, and the one that must not."""

from __future__ import annotations

CONSTRUCTS: dict[str, tuple[str, str, str]] = {
    "straight": (
        """
def bad(x):
    exec(x)
def good(x):
    exec('pass')
    return x
""",
        "bad",
        "good",
    ),
    "through a function, by keyword": (
        """
def run(label, *, code=''):
    exec(code)
def bad(x):
    run('a', code=x)
def good(x):
    run(x, code='1')
""",
        "bad",
        "good",
    ),
    "through *args and **kwargs": (
        """
def run(*args, **named):
    exec(args[0])
def bad(*a, **k):
    run(*a, **k)
def good(*a):
    run('pass')
""",
        "bad",
        "good",
    ),
    "formatted into a string": (
        """
def bad(x):
    exec(f'a = {x}')
def good(x):
    exec('a = %d' % len(x))
""",
        "bad",
        "good",
    ),
    "a lambda": (
        """
def bad(x):
    return (lambda y: exec(y))(x)
def good(x):
    return (lambda y: exec('pass'))(x)
""",
        "bad",
        "good",
    ),
    "a closure that is called": (
        """
def bad(x):
    def inner():
        exec(x)
    inner()
def good(x):
    def inner():
        return x
    inner()
    exec('pass')
""",
        "bad",
        "good",
    ),
    "a function that returns a closure": (
        """
def make(code):
    def inner():
        exec(code)
    return inner
def bad(x):
    make(x)()
def good(x):
    make('pass')()
""",
        "bad",
        "good",
    ),
    "handed to a function that calls it": (
        """
def apply(f, x):
    return f(x)
def bad(x):
    apply(exec, x)
def good(x):
    apply(len, x)
""",
        "bad",
        "good",
    ),
    "handed to a function in C": (
        """
from _functools import reduce
def bad(x):
    reduce(exec, x)
def good(x):
    list(map(len, x))
""",
        "bad",
        "good",
    ),
    "a table of functions": (
        """
def run(x):
    exec(x)
TABLE = {'run': run}
SAFE = {'len': len}
def bad(k, x):
    TABLE[k](x)
def good(k, x):
    SAFE.get(k)(x)
""",
        "bad",
        "good",
    ),
    "a comprehension": (
        """
def bad(xs):
    return [eval(x) for x in xs]
def good(xs):
    return [eval('1') for x in xs]
""",
        "bad",
        "good",
    ),
    "a conditional definition": (
        """
import sys
if sys.platform == 'x':
    def bad(x):
        pass
else:
    def bad(x):
        exec(x)
def good(x):
    pass
""",
        "bad",
        "good",
    ),
    "an import with a fallback": (
        """
try:
    from _fast import run
except ImportError:
    run = exec
def bad(x):
    run(x)
def good(x):
    run('pass')
""",
        "bad",
        "good",
    ),
    "an import inside the function": (
        """
def bad(x):
    from builtins import exec as run
    run(x)
def good(x):
    from builtins import len as run
    run(x)
""",
        "bad",
        "good",
    ),
    "a decorator that runs what the function returns": (
        """
def running(f):
    def wrapper(*a):
        exec(f(*a))
    return wrapper
@running
def bad(x):
    return x
def same(f):
    return f
@same
def good(x):
    return x
""",
        "bad",
        "good",
    ),
    "a context manager": (
        """
class Bad:
    def __init__(self, x):
        self.x = x
    def __enter__(self):
        exec(self.x)
    def __exit__(self, *a):
        pass
def bad(x):
    with Bad(x):
        pass
def good(x):
    with Bad('pass'):
        return x
""",
        "bad",
        "good",
    ),
    "a checked name": (
        """
def bad(x):
    exec('import ' + x)
def good(x):
    if not x.isidentifier():
        raise ValueError
    exec('import ' + x)
""",
        "bad",
        "good",
    ),
    "a value of a fixed choice": (
        """
def bad(x):
    exec(x)
def good(x):
    if x not in ('a', 'b'):
        raise ValueError
    exec(x)
""",
        "bad",
        "good",
    ),
    "constructor and method": (
        """
class Run:
    def __init__(self, code):
        self.code = code
    def go(self):
        exec(self.code)
def bad(x):
    Run(x).go()
def good(x):
    Run('pass').go()
    return x
""",
        "bad",
        "good",
    ),
    "a class that runs its argument": (
        """
class bad:
    def __init__(self, code):
        self.code = code
        self.go()
    def go(self):
        exec(self.code)
class good:
    def __init__(self, code):
        self.code = code
        self.fixed = 'pass'
        self.go()
    def go(self):
        exec(self.fixed)
""",
        "bad",
        "good",
    ),
    "__new__": (
        """
class bad:
    def __new__(cls, x):
        exec(x)
        return object.__new__(cls)
class good:
    def __new__(cls, x):
        return object.__new__(cls)
""",
        "bad",
        "good",
    ),
    "__setstate__": (
        """
class bad:
    def __setstate__(self, state):
        self.__dict__.update(state)
        exec(state['x'])
class good:
    def __setstate__(self, state):
        self.__dict__.update(state)
""",
        "bad",
        "good",
    ),
    "an implicit method that uses what the state set": (
        """
class bad:
    def __del__(self):
        exec(self.x)
class good:
    def __del__(self):
        self.x = None
""",
        "bad",
        "good",
    ),
    "an overridden method that an inherited constructor calls": (
        """
class Base:
    def __init__(self, x):
        self.start(x)
    def start(self, x):
        pass
class bad(Base):
    def start(self, x):
        exec(x)
class good(Base):
    def start(self, x):
        self.x = x
""",
        "bad",
        "good",
    ),
    "super()": (
        """
class Base:
    def __init__(self, x):
        exec(x)
class bad(Base):
    def __init__(self, x):
        super().__init__(x)
class good(Base):
    def __init__(self, x):
        super().__init__('pass')
""",
        "bad",
        "good",
    ),
    "the base called by name": (
        """
class Base:
    def __init__(self, x):
        self.go(x)
    def go(self, x):
        pass
class bad(Base):
    def __init__(self, x):
        Base.__init__(self, x)
    def go(self, x):
        exec(x)
class good(Base):
    def __init__(self, x):
        Base.__init__(self, x)
""",
        "bad",
        "good",
    ),
    "a class method that makes an instance": (
        """
class Run:
    def __init__(self, x):
        exec(x)
    @classmethod
    def bad(cls, x):
        return cls(x)
    @classmethod
    def good(cls, x):
        return cls('pass')
""",
        "Run.bad",
        "Run.good",
    ),
    "a static method": (
        """
class Run:
    @staticmethod
    def bad(x):
        exec(x)
    @staticmethod
    def good(x):
        return x
""",
        "Run.bad",
        "Run.good",
    ),
    "a builtin kept in an attribute": (
        """
class Run:
    def __init__(self):
        self.go = exec
        self.count = len
    def bad(self, x):
        self.go(x)
    def good(self, x):
        self.count(x)
""",
        "Run.bad",
        "Run.good",
    ),
    "an annotated parameter": (
        """
class Run:
    def go(self, x):
        exec(x)
class Other:
    def go(self, x):
        return x
def bad(r: Run, x):
    r.go(x)
def good(r: 'Other', x):
    r.go(x)
""",
        "bad",
        "good",
    ),
    "getattr with a fixed name": (
        """
import builtins
def bad(x):
    getattr(builtins, 'exec')(x)
def good(x):
    getattr(builtins, 'len')(x)
""",
        "bad",
        "good",
    ),
    "a method chosen by its name's beginning": (
        """
class Run:
    def do_run(self, x):
        exec(x)
    def get_size(self, x):
        return len(x)
    def bad(self, name, x):
        getattr(self, 'do_' + name)(x)
    def good(self, name, x):
        getattr(self, f'get_{name}')(x)
""",
        "Run.bad",
        "Run.good",
    ),
    "a global that a function sets": (
        """
run = None
def load():
    global run
    run = exec
def bad(x):
    load()
    run(x)
def good(x):
    load()
""",
        "bad",
        "good",
    ),
    "an alias": (
        """
go = exec
size = len
def bad(x):
    go(x)
def good(x):
    size(x)
""",
        "bad",
        "good",
    ),
    "a dataclass": (
        """
from dataclasses import dataclass
@dataclass
class bad:
    code: str
    def __post_init__(self):
        exec(self.code)
@dataclass
class good:
    code: str
    def __post_init__(self):
        exec('pass')
""",
        "bad",
        "good",
    ),
    "a class kept by a constructor and made later": (
        """
class Runner:
    def go(self, x):
        exec(x)
class Quiet:
    def go(self, x):
        return x
class Uses:
    def __init__(self, factory):
        self.factory = factory
    def run(self, x):
        self.factory().go(x)
class Idle:
    def __init__(self, factory):
        self.factory = factory
    def run(self, x):
        self.factory().go(x)
def bad(x):
    Uses(Runner).run(x)
def good(x):
    Idle(Quiet).run(x)
""",
        "bad",
        "good",
    ),
    "a switch that is off unless the caller says so": (
        """
def read(x, *, trust=False):
    if not trust:
        return x
    return eval(x)
def through(x, trust=False):
    return read(x, trust=trust)
def bad(x):
    return through(x, trust=True)
def good(x):
    through(x)
    read(x, trust=False)
""",
        "bad",
        "good",
    ),
    "text in memory, which is run or is a file": (
        """
import io
def load(file):
    if isinstance(file, str):
        file = open(file, 'w')
    exec(file.read())
def bad(x):
    load(io.StringIO(x))
def good(x):
    return io.StringIO(x)
""",
        "bad",
        "good",
    ),
    "a switch that a partial passes on": (
        """
from _functools import partial
def read(x, *, trust=False):
    return eval(x) if trust else x
def through(x, *, trust=False):
    again = partial(read, trust=trust)
    return list(map(again, x))
def bad(x):
    return through(x, trust=True)
def good(x):
    return through(x)
""",
        "bad",
        "good",
    ),
    "a decorator that makes decorators": (
        """
def running(code):
    def decorate(function):
        exec(code)
        return function
    return decorate
def bad(x):
    @running(x)
    def inner():
        pass
@running("pass")
def good(x):
    return x
""",
        "bad",
        "good",
    ),
    "text that is only parsed": (
        """
import ast
def bad(x):
    exec(compile(x, "f", "exec"))
def good(x):
    return compile(x, "f", "exec", 1024)
""",
        "bad",
        "good",
    ),
    "code made into a function that is called": (
        """
import types
def made(x):
    return types.FunctionType(x, {})
def bad(x):
    made(x)()
def good(x):
    return made(x)
""",
        "bad",
        "good",
    ),
    "a module that is passed": (
        """
import builtins, json
def run(codec, x):
    return codec.exec(x)
def bad(x):
    return run(builtins, x)
def good(x):
    return run(json, x)
""",
        "bad",
        "good",
    ),
    "what a closure captured": (
        """
def running(code):
    def run(x):
        exec(code)
        return x
    return run
def made(x):
    def run(y):
        exec(y)
    return run
bad = made("pass")
good = running("pass")
""",
        "bad",
        "good",
    ),
    "code that is made and not returned": (
        """
import types
def kept(x):
    made = types.FunctionType(x, {})
    return str(made)
def given(x):
    return types.FunctionType(x, {})
def through(x):
    return given(x)
def bad(x):
    through(x)()
def good(x):
    kept(x)()
""",
        "bad",
        "good",
    ),
    "an item of a tuple that is returned": (
        """
def pair(x):
    return x, 'pass'
def bad(x):
    first, second = pair(x)
    exec(first)
def good(x):
    first, second = pair(x)
    exec(second)
""",
        "bad",
        "good",
    ),
    "what was put into an instance that is returned in a tuple": (
        """
class Box:
    pass
def fill(box, x):
    setattr(box, x[0], x[1])
def filled(x):
    box = Box()
    fill(box, x)
    return box, x
def bad(x):
    box, rest = filled(x)
    exec(box.code)
def good(x):
    box, rest = filled('pass')
    exec(box.code)
""",
        "bad",
        "good",
    ),
    "a closure kept in an instance": (
        """
class Run:
    def __init__(self, code):
        def go():
            exec(code)
        self.go = go
    def __call__(self):
        return self.go()
class Fixed:
    def __init__(self, code):
        def go():
            exec('pass')
        self.go = go
    def __call__(self):
        return self.go()
def bad(x):
    Run(x)()
def good(x):
    Fixed(x)()
""",
        "bad",
        "good",
    ),
    "an instance kept in a container": (
        """
class Runner:
    def go(self, x):
        exec(x)
class Quiet:
    def go(self, x):
        return x
class Uses:
    def __init__(self):
        self.kept = {}
        self.add('a', Runner())
    def add(self, name, item):
        self.kept[name] = item
    def run(self, x):
        for name, item in self.kept.items():
            item.go(x)
class Idle(Uses):
    def __init__(self):
        self.other = {}
        self.put('a', Quiet())
    def put(self, name, item):
        self.other[name] = item
    def run(self, x):
        for name, item in self.other.items():
            item.go(x)
def bad(x):
    Uses().run(x)
def good(x):
    Idle().run(x)
""",
        "bad",
        "good",
    ),
    "builtins that a star import might replace": (
        """
from other import *
def bad(x):
    exec(getattr(x, 'code'))
def good(x):
    exec(getattr(x, '__doc__'))
""",
        "bad",
        "good",
    ),
    "what a class method takes from its class": (
        """
class Run:
    code = 'pass'
    @classmethod
    def bad(cls, x):
        exec(x)
    @classmethod
    def good(cls, x):
        exec(cls.code)
""",
        "Run.bad",
        "Run.good",
    ),
}
