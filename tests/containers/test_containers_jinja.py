"""Chat templates: what rendering one does, in JSON, YAML, GGUF and on its own."""

from __future__ import annotations

import json
import random
import sys
import time

import pytest

from safepickle.bytecode.trace import FileTrace
from safepickle.scan import trace_bytes

from .models import gguf_model, gguf_of
from .samples import PLAIN_4, kinds, scan, zip_of

CHATML = (
    "{%- for message in messages -%}{%- if loop.first and message['role'] != 'system' -%}"
    "{{- '<|im_start|>system\\nYou are helpful.<|im_end|>\\n' -}}{%- endif -%}"
    "{{- '<|im_start|>' + message['role'] + '\\n' + message['content'] | trim + '<|im_end|>\\n' -}}{%- endfor -%}"
    "{%- if add_generation_prompt -%}{{- '<|im_start|>assistant\\n' -}}{%- endif -%}"
)
TOOLS = """
{%- set ns = namespace(is_first=false, index=messages|length - 1) %}
{%- macro render(tool, names=['a', 'b']) %}{{ tool.name | upper }}: {{ tool | tojson(indent=4) }}{% endmacro %}
{%- if messages[0]['role'] == 'system' %}{% set system = messages[0].content[1:] %}{% endif %}
{%- for tool in tools or [] %}{{ render(tool) }}{% if not loop.last %}, {% endif %}{% endfor %}
{%- for message in messages[::-1] %}
  {%- set content = message.content.split('</think>')[-1].lstrip('\\n') if message.content is string else '' %}
  {%- if message.role not in ['user'] %}{{ raise_exception('After the message ' ~ loop.index0) }}{% endif %}
  {%- for key, value in message.arguments|items %}{{ '%s: %s' | format(key, value) }}{{ ', '.join(value) }}{% endfor %}
  {%- for one in message|selectattr('x', 'equalto', 1)|map(attribute='name')|list %}{{ one }}{% continue %}{% endfor %}
  {{- bos_token + '{}'.format(content) + ('a' * 3) + strftime_now('%d %b %Y') + range(3)|join(',') }}
{%- endfor %}
"""
GENERATION = "{% for m in messages %}{% generation %}{{ m.content }}{% endgeneration %}{% do a.append(m) %}{% endfor %}"
COUNTED = """
{%- set ns = namespace(index=0, role='', found=[]) %}{% set last = 0 %}{% set shift = -1 + 2 * 3 // 2 %}
{%- for message in messages %}
  {%- set ns.index = ns.index + 1 %}{% set last = last + 1 %}{% set ns.role = message.role or 'user' %}
  {%- if messages[ns.index].content.strip() == messages[last - 1].content.strip() %}{{ '-' * 3 }}{% endif %}
  {{- message[ns.role].strip() ~ messages[ns.index % 2].content.split('\\n')[0] ~ messages[shift].content.strip() }}
{%- endfor %}
"""
MERGED = """
{%- macro item(value, key='name', sep=', ') %}{{ value[key].strip() ~ sep }}{{ varargs | join(sep) }}{% endmacro %}
{%- macro row(value) %}<{{ caller(value) }}>{% endmacro %}
{%- set key = 'role' %}{% if tools %}{% set key = 'name' %}{% endif %}{{ messages[0][key].strip() }}
{%- for key in ['name', 'type'] %}{{ tools[0][key].strip() }}{% endfor %}
{%- call(one) row(tools[0]) %}{{ one.name.strip() ~ item(one, key='type') ~ item(one, 'name', '; ', 'a') }}{% endcall %}
{%- set names = {'user': 'U', 'assistant': 'A'} %}{{ names[messages[0].role].strip() ~ ('__start__' or x) }}
{%- for name, value in [('a', 'b'), ('c', 'd')] %}{{ tools[name].strip() + value }}{% endfor %}
{%- for tool in tools recursive %}{{ tool.name.strip() ~ loop(tool.parts) }}{% endfor %}
{{- tools | map(attribute='name') | join(', ') | trim }}{{ cycler('odd', 'even').next() }}
"""
HARMLESS = {
    "marked output": GENERATION,
    "ChatML": CHATML,
    "tools": TOOLS,
    "counted": COUNTED,
    "merged": MERGED,
    "nothing": "{{ messages }}",
    "words": "{{ 'os.system(1)' }}",
    "a key like a private one": "{{ messages[0]._id.strip() ~ messages[0]['_id'] }}{{ x.f_name.strip() }}",
}

POPEN = "{{ cycler.__init__.__globals__.os.popen('echo inert').read() }}"
TELLING = {
    "attributes": (POPEN, "os.popen"),
    "items": ("{{ request['application']['__globals__']['__builtins__']['eval']('1') }}", "builtins.eval"),
    "escapes": (r"{{ x['\x5f\x5fglobals\x5f\x5f']['__builtins__']['eval']('1') }}", "builtins.eval"),
    "a filter": ("{{ x|attr('__init__')|attr('__globals__')|attr('get')('os')|attr('system')('echo') }}", "os.system"),
    "a sum": ("{{ x['__glo' + 'bals__']['o' ~ 's'].system('echo') }}", "os.system"),
    "a join": ("{{ x[['__glo', 'bals__']|join].os.system('echo') }}", "os.system"),
    "a format": ("{{ x['%sglobals%s'|format('__', '__')].os.system('echo') }}", "os.system"),
    "reversed": ("{{ x['__slabolg__'[::-1]].os.system('echo') }}", "os.system"),
    "a variable": ("{% set a = x.__globals__ %}{% if 1 %}{{ a.os.system('echo') }}{% endif %}", "os.system"),
    "a condition": ("{{ x.__globals__.os.system('echo') if 1 else '' }}", "os.system"),
    "an argument": ("{{ f(1, [messages, x.__globals__.os.system('echo')]) }}", "os.system"),
    "a test": ("{% if x.__globals__.os.system('echo') == 0 %}{% endif %}", "os.system"),
    "a macro": ("{% macro m(a) %}{{ a.__globals__.os.system('echo') }}{% endmacro %}", "os.system"),
    "a loop": ("{% for c in [x.__globals__] %}{{ c.os.system('echo') }}{% endfor %}", "os.system"),
    "a call": ("{% call m(x.__globals__.os.system('echo')) %}{% endcall %}", "os.system"),
    "a block filter": ("{% filter replace('a', x.__globals__.os.system('echo')) %}a{% endfilter %}", "os.system"),
    "an argument of a macro": (
        "{% macro m(a) %}{{ a.os.system('echo') }}{% endmacro %}{{ m(x.__globals__) }}", "os.system"
    ),
    "a namespace": ("{% set n = namespace() %}{% set n.a = x.__globals__ %}{{ n.a.os.system('echo') }}", "os.system"),
    "several at once": ("{% set a, b = 1, x.__globals__ %}{{ b.os.system('echo') }}", "os.system"),
    "a with": ("{% with a = x.__globals__ %}{{ a.os.system('echo') }}{% endwith %}", "os.system"),
    "keys of a dict": ("{{ x[dict(__globals__=1)|join].os.system('echo') }}", "os.system"),
    "the first key": ("{{ x[{'__globals__': 1}|first].os.system('echo') }}", "os.system"),
    "a block": ("{% set k %}__globals__{% endset %}{{ x[k].os.system('echo') }}", "os.system"),
    "a mapped attribute": ("{{ ([x]|map(attribute='__globals__')|first).os.system('echo') }}", "os.system"),
    "a group": ("{% for g, l in [x]|groupby('__globals__') %}{{ g.os.system('echo') }}{% endfor %}", "system"),
    "before another template": ("{% include 'a' %}{{ x.__globals__.os.system('echo') }}", "os.system"),
    "a frame": ("{{ ([1]|map('upper')).gi_frame.f_back.f_globals['os'].system('echo') }}", "os.system"),
    "the builtins of a frame": ("{{ ([1]|map('upper')).gi_frame.f_builtins.eval('1') }}", "builtins.eval"),
    "a name of Python": ("{{ eval('1') }}", "builtins.eval"),
    "an item of builtins": ("{{ __builtins__['eval']('1') }}", "eval"),
    "an attribute of builtins": ("{{ __builtins__.__import__('os').system('echo') }}", "os.system"),
    "a name with underscores": ("{{ __import__('os').system('echo') }}", "os.system"),
}  # fmt: skip


def called(trace: FileTrace) -> set[str]:
    return {call.callee.name for stream in trace.walk() for call in stream.calls}


@pytest.mark.parametrize("name", HARMLESS)
def test_a_template_that_reads_what_it_is_given_does_nothing(name: str) -> None:
    text = HARMLESS[name]
    config = json.dumps({"chat_template": [{"name": "default", "template": text}], "eos_token": "</s>"})
    for data in (text.encode(), config.encode(), zip_of({"tokenizer_config.json": config.encode(), "b": PLAIN_4})):
        trace = trace_bytes(data)
        assert (trace.complete, called(trace), trace.oddities) == (True, set(), ())


@pytest.mark.parametrize("name", TELLING)
def test_a_template_that_gets_at_python_is_told_as_what_it_calls(name: str) -> None:
    text, function = TELLING[name]
    for data in (text.encode(), json.dumps({"a": ["b", {"chat_template": text}]}).encode()):
        trace = trace_bytes(data)
        assert trace.container == "jinja-template"
        assert any(found == function or found.endswith("." + function) for found in called(trace)), called(trace)
    stream = trace_bytes(json.dumps({"a": ["b", {"chat_template": text}]}).encode()).streams[0]
    assert stream.place == (("jinja-template", "a.chat_template"), ("jinja", ""))


COMPUTED = {
    "a variable that is set again": "{% set k = '__globals__' %}{% set k = 'a' %}{{ x[k].os.system('echo') }}",
    "a branch": "{% set k = 'a' %}{% if a %}{% set k = '__globals__' %}{% endif %}{{ x[k].os.system('echo') }}",
    "any round of a loop": "{% for k in ['role', '__globals__'] %}{{ x[k].os.system('echo') }}{% endfor %}",
    "a loop within itself": "{% for k in ['a'] recursive %}{{ x[k].os.system('echo') }}{{ loop(['__globals__']) }}"
    "{% endfor %}",
    "any row of a loop": "{% for a, k in [(1, 'b'), (1, '__globals__')] %}{{ x[k].os.system('echo') }}{% endfor %}",
    "round by round": "{% set n = namespace(o=x) %}{% for k in ['a', '__init__', '__globals__'] %}"
    "{% set n.o = n.o|attr(k) %}{% endfor %}{{ n.o['os'].system('echo') }}",
    "what a macro returns": "{% macro m() %}__globals__{% endmacro %}{{ x[m()].os.system('echo') }}",
    "what a macro makes": "{% macro m() %}{{ u }}globals{% endmacro %}{{ x[m()].os.system('echo') }}",
    "a default": "{% macro m(k='__globals__') %}{{ x[k].os.system('echo') }}{% endmacro %}{{ m() }}",
    "a named argument": "{% macro m(a, k) %}{{ x[k].os.system('echo') }}{% endmacro %}{{ m(k='__globals__') }}",
    "a further argument": "{% macro m() %}{{ x[varargs[0]].os.system('echo') }}{% endmacro %}{{ m('__globals__') }}",
    "a macro by another name": "{% macro m(k) %}{{ x[k].os.system('echo') }}{% endmacro %}{% set f = m %}"
    "{{ f('__globals__') }}",
    "set behind a macro": "{% macro m() %}{{ x[k].os.system('echo') }}{% endmacro %}{% set k = '__globals__' %}",
    "an argument of a caller": "{% macro m() %}{{ caller('__globals__') }}{% endmacro %}"
    "{% call(k) m() %}{{ x[k].os.system('echo') }}{% endcall %}",
    "what a caller returns": "{% macro m() %}{{ x[caller()].os.system('echo') }}{% endmacro %}"
    "{% call m() %}__globals__{% endcall %}",
    "a join of parts": "{% set u = (x|string)[0] %}{{ x[[u, u, 'globals', u, u]|join].os.system('echo') }}",
    "a computed attribute": "{{ ([x]|map(attribute='__glo' ~ 'bals__')|first).os.system('echo') }}",
    "a namespace": "{% set n = namespace(k='__globals__') %}{{ x[n['k']].os.system('echo') }}",
    "an alternative": "{{ x[a or '__globals__'].os.system('echo') }}",
    "another alternative": "{{ x['role' if a else '__globals__'].os.system('echo') }}",
    "one of a list": "{{ x[['__globals__', 'b'][a]].os.system('echo') }}",
    "one of a dict": "{{ x[{'a': '__globals__'}[a]].os.system('echo') }}",
    "one of a cycle": "{{ x[cycler('__globals__', 'b').next()].os.system('echo') }}",
    "a private attribute": "{{ self._TemplateReference__context.environment.from_string('echo').render() }}",
    "a private attribute of a macro": "{% macro m() %}{% endmacro %}{{ m._environment.from_string('echo') }}",
    "a product": "{{ x['_' * 2 ~ 'globals' ~ 2 * '_'].os.system('echo') }}",
    "a filled in number": "{{ x['__gl%dbals__' % 0].os.system('echo') }}",
    "a joined name": "{% set u = (lipsum|string|list).pop(18) %}{{ x[u * 2 ~ 'globals' ~ u * 2].os.system('echo') }}",
    "an added name": "{{ x[messages[0].a + 'globals'].os.system('echo') }}",
    "a formatted name": "{% set k = '%sglobals'|format(a) %}{{ x[k]('echo') }}",
    "a name in a block": "{% set k %}{{ a }}globals{% endset %}{{ x[k].f('echo') }}",
    "a filter": "{{ (x|attr(request.args.a)).f('echo') }}",
}


@pytest.mark.parametrize("name", COMPUTED)
def test_what_is_called_by_a_name_that_is_only_known_when_it_is_rendered_is_told(name: str) -> None:
    trace = trace_bytes(COMPUTED[name].encode())
    given = {argument.literal for stream in trace.walk() for call in stream.calls for argument in call.args}
    assert "echo" in given


def test_a_template_hidden_by_escapes_of_json_or_in_quotes_of_yaml_is_read() -> None:
    escaped = json.dumps(POPEN).replace("{", "\\u007b").replace("}", "\\u007D")
    for text in ('{"chat_template": ' + escaped + "}", '{"a": 1, "chat_template": \'' + POPEN.replace("'", '"') + "'}"):
        assert any(name.endswith("os.popen") for name in called(trace_bytes(text.encode()))), text


def test_a_vocabulary_with_braces_is_no_template() -> None:
    vocabulary = {"model": {"vocab": {"{{": 1, "{%": 2, "}}": 3, "a": 4}}, "added_tokens": [{"content": "{{", "id": 1}]}
    for indent in (None, 2):
        contents = scan(json.dumps(vocabulary, indent=indent).encode())
        assert (contents.container, contents.complete, contents.oddities) == ("json", True, ())


def test_a_template_behind_megabytes_is_read_and_a_vocabulary_of_megabytes_is_data() -> None:
    words = b'{"a": "%s", "{{": "{%%", ' % (b"x" * (17 << 20))
    assert any(
        name.endswith("os.popen") for name in called(trace_bytes(words + b'"b": %s}' % json.dumps(POPEN).encode()))
    )
    contents = scan(words + b'"}}": "b"}')
    assert (contents.container, contents.complete, contents.oddities) == ("json", True, ())


def test_a_template_beside_another_program_in_json_is_read_too() -> None:
    for other in ({"_target_": "torch.nn.Linear"}, {"class_name": "Dense", "config": {}}):
        trace = trace_bytes(json.dumps({**other, "chat_template": POPEN}).encode())
        assert any(name.endswith("os.popen") for name in called(trace))
        assert trace.complete


def test_subclasses_are_calls_of_what_is_only_known_when_it_is_rendered() -> None:
    trace = trace_bytes(b"{{ ().__class__.__bases__[0].__subclasses__()[59]('echo') }}")
    assert any("__subclasses__" in name for name in called(trace))


def test_a_template_in_yaml_is_read_where_it_stands() -> None:
    trace = trace_bytes(f"name: x\nchat_template: |\n  {POPEN}\n".encode())
    assert any(name.endswith("os.popen") for name in called(trace))


@pytest.mark.parametrize(
    "text",
    [
        "import os\nos.system('echo {{ a }}')",
        "{{ .System }}",
        "{% if %}",
        "{{ a",
        "{% unknown %}",
        "{% include 'other' %}",
        "{{ x }}" * 20_000,
    ],
)
def test_what_is_no_template_of_jinja_or_too_long_or_not_alone_is_incomplete(text: str) -> None:
    contents = scan(text.encode())
    assert (contents.complete, kinds(contents)) == (False, {"unsupported-format"})
    assert scan(zip_of({"m": text.encode(), "b": PLAIN_4})).complete


def test_a_number_that_only_some_versions_of_python_read_leaves_a_template_incomplete_wherever_it_is() -> None:
    text = "{{ x.__init__.__globals__[" + "9" * 5000 + "] }}"
    for data in (text, json.dumps({"chat_template": text, "model_type": "m"})):
        contents = scan(data.encode())
        assert (contents.complete, kinds(contents)) == (False, {"unsupported-format"})


def test_without_the_parser_a_template_is_incomplete_and_the_extra_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "jinja2", None)
    contents = scan(CHATML.encode())
    assert (contents.complete, kinds(contents)) == (False, {"decoder-missing"})
    assert "safepickle-ml[templates]" in contents.oddities[0].detail


BOMBS = {
    "deep": "{{ " + "(" * 20_000 + "x" + ")" * 20_000 + " }}",
    "long sum": "{{ x" + " + x.__a__" * 10_000 + " }}",
    "attributes": "{{ x" + ".__a__" * 20_000 + " }}",
    "doubled": "{% set a = x.__a__ %}" + "{% set a = a ~ a %}" * 60 + "{{ a }}",
    "doubled list": "{% set a = [x.__a__] %}" + "{% set a = [a, a] %}" * 60 + "{{ a }}",
    "blocks": "{% if a %}" * 5_000 + "{% endif %}" * 5_000,
    "product": "{{ x['__a' * 999999999] }}",
    "many": "{{ x.__a__() }}" * 8_000,
    "macros in macros": "".join(
        f"{{% macro m{n}(a) %}}{{{{ m{n + 1}(a) }}}}{{{{ m{n + 1}(a) }}}}{{% endmacro %}}" for n in range(60)
    )
    + "{{ m0(x.__a__) }}",
    "variables in turn": "".join(f"{{% set a{n} = a{n + 1} %}}" for n in range(400)) + "{% set a400 = x.__a__ %}",
    "callers": "{% macro m() %}{{ caller('__a__') }}{% endmacro %}" + "{% call(a) m() %}{% endcall %}" * 2_000,
}


@pytest.mark.parametrize("name", BOMBS)
def test_a_template_that_grows_ends_soon_and_is_incomplete_or_read(name: str) -> None:
    started = time.process_time()
    trace_bytes(BOMBS[name].encode())
    assert time.process_time() - started < 5


def test_changed_templates_never_fail() -> None:
    rng = random.Random(7)
    for text, _function in TELLING.values():
        for _ in range(8):
            changed = list(text)
            for _ in range(rng.choice((1, 2, 4))):
                changed[rng.randrange(len(changed))] = rng.choice("{}%()[]|.'_~+ -1ax")
            scan("".join(changed).encode())


def test_the_chat_template_of_a_gguf_model_is_read_and_the_model_is_complete() -> None:
    contents = scan(gguf_model(CHATML))
    assert (contents.container, contents.complete, contents.oddities) == ("gguf", True, ())
    trace = trace_bytes(gguf_model(POPEN))
    assert any(name.endswith("os.popen") for name in called(trace))
    assert trace.streams[0].place == (("gguf", ""), ("jinja-template", "tokenizer.chat_template"), ("jinja", ""))


def test_a_cut_or_changed_gguf_model_is_incomplete_or_read_and_never_fails() -> None:
    data = gguf_model(POPEN)
    for length in range(4, len(data) - 64):
        assert not scan(data[:length]).complete, length
    assert not scan(gguf_of([("a", 77, b"")])).complete
    rng = random.Random(9)
    for _ in range(500):
        changed = bytearray(data)
        for _ in range(rng.choice((1, 2, 8))):
            changed[rng.randrange(4, len(data))] = rng.choice((0, 1, 8, 9, 255, rng.randrange(256)))
        scan(bytes(changed))
