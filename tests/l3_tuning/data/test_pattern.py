"""A pattern writes what the template writes, and there is none where the template looks into what is said."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from aiops.layers.l3_tuning.data.pattern import pattern
from aiops.layers.l3_tuning.data.template import RefusedError, Template

from .templates import FAMILIES

EACH = "{%% for message in messages %%}%s{%% endfor %%}"
BY_ROLE = {
    **{name: source for name, source in FAMILIES.items() if name != "thinking"},
    "alternating": EACH
    % (
        "{% if (message['role'] == 'user') != (loop.index0 % 2 == 0) %}{{ raise_exception('no') }}{% endif %}"
        "{{ '100% {} ' + message['content'] }}"
    ),
    "collected": "{% set all = namespace(said=bos_token) %}"
    + EACH % "{% set all.said = all.said + message.content | trim + '\\n' %}"
    + "{{ all.said }}",
    "parts": EACH
    % "{% if message.content is string %}{{ message.content }}{% else %}{{ message.content[0] }}{% endif %}",
    "twice": "{{ messages[-1].content }}" + EACH % "{{ message.content }}",
    "counted": EACH % "{{ loop.index }}/{{ messages | length }} {{ message.content }}",
    "system first": "{% if messages[0].role == 'system' %}{% set said = messages[0].content %}"
    "{% set messages = messages[1:] %}{% else %}{% set said = 'Be kind.' %}{% endif %}{{ said }}"
    + EACH
    % "{{ message.content }}",
}
LOOKS_INTO = {
    "searched": "{% if 'x' in message.content %}!{% endif %}{{ message.content }}",
    "searched for": "{% if message.content in 'xyz' %}!{% endif %}{{ message.content }}",
    "one of": "{% if message.content in ['x', 'y'] %}!{% endif %}{{ message.content }}",
    "compared": "{% if message.content == 'x' %}!{% endif %}{{ message.content }}",
    "compared the other way": "{% if 'x' != message.content %}!{% endif %}{{ message.content }}",
    "ordered": "{% if message.content < 'x' %}!{% endif %}{{ message.content }}",
    "truth": "{{ message.content or 'nothing' }}",
    "measured": "{{ message.content | length }}{{ message.content }}",
    "cut": "{{ message.content[:3] }}",
    "first": "{{ message.content[0] }}",
    "split": "{{ message.content.split('x')[-1] }}",
    "begins": "{% if message.content.startswith('x') %}!{% endif %}{{ message.content }}",
    "asked for": "{% if message.content.strip is defined %}!{% endif %}{{ message.content }}",
    "filtered": "{{ message.content | upper }}",
    "trimmed of": "{{ message.content | trim('x') }}",
    "trimmed together": "{{ (message.content + ' ') | trim }}",
    "formatted": "{{ '%s' % message.content }}",
    "formatted by name": "{{ '{}'.format(message.content) }}",
    "joined by a tilde": "{{ 'a' ~ message.content }}",
    "joined by a filter": "{{ [message.content, 'x'] | join }}",
    "as a list": "{{ [message.content] }}",
    "whole": "{{ message }}",
    "as JSON": "{{ message | tojson }}",
    "repeated": "{{ message.content * 2 }}",
    "letter by letter": "{% for letter in message.content %}{{ letter }}{% endfor %}",
    "letters with another in mind": "{% if message.content is iterable %}!{% endif %}{{ message.content }}",
    "as a key": "{{ {'x': 1}[message.content] }}",
    "as a place": "{{ [1, 2][message.content] }}",
    "by name": "{{ message[message.content] }}",
    "set in a block": "{% set said %}{{ message.content }}{% endset %}{{ said }}",
    "in a macro": "{% macro say(text) %}{{ text }}{% endmacro %}{{ say(message.content) }}",
    "filter block": "{% filter upper %}{{ message.content }}{% endfilter %}",
    "the day": "{{ strftime_now('%d') }}{{ message.content }}",
    "changed": "{% if loop.changed(message.content) %}!{% endif %}{{ message.content }}",
    "fails": "{{ message.content + 1 }}",
}
ROLES = [("user", "assistant"), ("system", "user", "assistant"), ("user", "assistant", "user", "assistant")]
SAID = st.one_of(
    st.sampled_from(["", " a ", "%s", "100%", "{}", "{{ x }}", "\n", "</think> b", "x"]),
    st.text(st.characters(exclude_categories=["Cs", "Cn"]), max_size=8),
)


def of(source: str) -> Template:
    return Template({"default": source}, {"bos_token": "<s>", "eos_token": "</s>"}, "digest", "here")


@settings(max_examples=300, deadline=None)
@given(st.sampled_from(sorted(BY_ROLE)), st.sampled_from(ROLES), st.data())
def test_what_it_writes_is_what_the_template_writes(name: str, roles: tuple[str, ...], data: st.DataObject) -> None:
    template = of(BY_ROLE[name])
    contents = tuple(data.draw(SAID) for _ in roles)
    found = pattern(template, roles)
    messages = [{"role": role, "content": said} for role, said in zip(roles, contents, strict=True)]
    if found is None:
        with pytest.raises(RefusedError):
            template.written(messages)
    else:
        assert found.written(contents) == template.written(messages)


@pytest.mark.parametrize("name", BY_ROLE)
def test_a_template_that_looks_at_roles_alone_has_one(name: str) -> None:
    found = pattern(of(BY_ROLE[name]), ROLES[0])
    assert found is not None
    assert found.whole


def test_what_is_left_out_is_known() -> None:
    found = pattern(of(FAMILIES["drops system"]), ROLES[1])
    assert found is not None
    assert not found.whole


@pytest.mark.parametrize("name", LOOKS_INTO)
def test_one_that_looks_into_what_is_said_has_none(name: str) -> None:
    assert pattern(of(EACH % LOOKS_INTO[name]), ROLES[0]) is None


def test_what_is_not_reached_does_not_matter() -> None:
    source = (
        EACH % "{% if message.role == 'tool' %}{{ message.content | upper | tojson }}{% endif %}{{ message.content }}"
    )
    assert pattern(of(source), ROLES[0]) is not None
    assert pattern(of(source), ("user", "tool", "assistant")) is None
    assert pattern(of(FAMILIES["thinking"]), ROLES[0]) is None
