"""Formats of contracts: kept as Java's patterns and the standard's names mean them, or refused."""

from __future__ import annotations

import re

import pytest

from shared.data.formats import date_format, string_pattern


@pytest.mark.parametrize(
    ("pattern", "said"),
    [
        ("MM.yyyy", "must name the day once"), ("dd.yyyy", "must name the month once"), ("dd.MM", "name the year once"),
        ("dd.MM.yyyy dd", "must name the day once"), ("dd.mm.yyyy HH:MM", "has `mm` without H or HH"),
        ("dd.MM.yyyy hh:mm", "has `hh` without a"), ("dd.MM.yyyy HH:mm a", "has `a` without h or hh"),
        ("yyyy-MM-dd mm", "has `mm` without H or HH"), ("yyyy-MM-dd HH:ss", "has `ss` without mm"),
        ("yyyy-MM-dd HH:mm:mm", "names the minute twice"), ("yyyy-MM-dd Z", "has `Z` without H or HH"),
        ("YYYY-MM-dd", "`YYYY` of the format"), ("yyyy-MM-dd'T", "a quote without its other half"),
        ("yyyy-MM-dd'T'HH:mm:ss.n", "`n` of the format"), ("EEE dd.MM.yyyy", "`EEE` of the format"),
    ],
)  # fmt: skip
def test_a_pattern_that_names_no_moment_is_refused(pattern, said):
    with pytest.raises(ValueError, match=re.escape(said)):
        date_format(pattern, with_time=True)


def test_a_date_has_no_hours():
    with pytest.raises(ValueError, match="`HH` of the format"):
        date_format("dd.MM.yyyy HH:mm", with_time=False)


def test_what_stands_in_quotes_stands_for_itself():
    found = date_format("yyyy'%'MM''dd", with_time=False)
    assert (found.strptime, bool(re.fullmatch(found.looks, "2026%05'14"))) == ("%Y%%%m'%d", True)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("uuid", "123e4567-e89b-12d3-a456-426614174000", "123e4567e89b12d3a456426614174000"),
        ("email", "a.b+c@example.com", "a@b@example.com"), ("uri", "https://example.com/x?y", "example.com"),
        ("hostname", "www.example.com", "-x.example.com"), ("ipv4", "192.0.2.255", "192.0.2.256"),
    ],
)  # fmt: skip
def test_a_string_s_format_is_a_pattern(name, good, bad):
    """The examples are those of RFC 9562, 5322, 3986, 1123 and 5737."""
    assert re.search(string_pattern(name), good)
    assert not re.search(string_pattern(name), bad)


@pytest.mark.parametrize("name", ["password", "byte", "ipv6", "Email", ""])
def test_a_name_that_nobody_keeps_is_refused(name):
    with pytest.raises(ValueError, match="is not kept here"):
        string_pattern(name)
