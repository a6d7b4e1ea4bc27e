"""The page's edge: what a template prints is on one line, shows every character, and is no HTML of its own."""

from __future__ import annotations

from html.parser import HTMLParser

from hypothesis import given
from hypothesis import strategies as st

from shared.ui.page import pages
from tests.hostile import HOSTILE, forged_lines, hostile_signs

TEXTS = st.text(st.one_of(st.characters(), st.sampled_from("\n\r\x1b\x9b\u202e<>&\"'")), max_size=20)


class Texts(HTMLParser):
    def __init__(self, page):
        super().__init__()
        self.tags, self.texts = [], []
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, attrs))

    def handle_data(self, data):
        self.texts.append(data)


def rendered(text):
    return pages("lab").from_string('<p title="{{ text }}">{{ text }}</p>').render(text=text)


@given(TEXTS)
def test_a_text_is_no_markup_in_an_element_and_none_in_an_attribute(text):
    page = rendered(text)
    assert hostile_signs(page, allowed="") == set()
    [(tag, attributes)] = Texts(page).tags
    assert (tag, len(attributes)) == ("p", 1)


def test_a_hostile_text_forges_no_line_of_a_page():
    page = Texts(rendered(HOSTILE))
    assert len(page.tags) == 1
    assert forged_lines("\n".join(page.texts)) == []
    assert "ADMIT" in "".join(page.texts)


def test_the_style_is_printed_as_it_is():
    assert "--ink: #18181b;" in pages("lab").from_string("{{ style() }}").render()
