"""Digests: against the vectors of FIPS 180-4 and RFC 8785."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.core.digests import canonical, digest_bytes, digest_file, digest_json, hex_of, short

# FIPS 180-4 examples (NIST, "SHA256.pdf"), and the digest of nothing.
ABC = "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"
NOTHING = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
MILLION_A = "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0"

values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**53) + 1, 2**53 - 1)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: (
        st.lists(inner, max_size=4) | st.dictionaries(st.text(alphabet="abc€ö", max_size=4), inner, max_size=4)
    ),
    max_leaves=8,
)


@pytest.mark.parametrize(("data", "expected"), [(b"abc", ABC), (b"", NOTHING), (b"a" * 1_000_000, MILLION_A)])
def test_bytes_have_the_digest_that_nist_published(data, expected):
    assert digest_bytes(data) == f"sha256:{expected}"


def test_a_file_has_the_digest_of_its_bytes(tmp_path):
    (tmp_path / "file").write_bytes(b"a" * 1_000_000)
    assert digest_file(tmp_path / "file") == f"sha256:{MILLION_A}"


def test_json_is_written_as_in_rfc_8785_section_3_2_2():
    given = {
        "numbers": [333333333.33333329, 1e30, 4.50, 2e-3, 0.000000000000000000000000001],
        "string": "\u20ac$\u000f\u000aA'\u0042\u0022\u005c\\\"/",
        "literals": [None, True, False],
    }
    expected = (
        '{"literals":[null,true,false],"numbers":[333333333.3333333,1e+30,4.5,0.002,1e-27],'
        '"string":"€$\\u000f\\nA\'B\\"\\\\\\\\\\"/"}'
    )
    assert canonical(given).decode() == expected


def test_keys_are_sorted_by_utf_16_units_as_in_rfc_8785_section_3_2_3():
    given = dict.fromkeys(["\u20ac", "\r", "\ufb33", "1", "\U0001f600", "\u0080", "\u00f6"])
    order = ["\r", "1", "\u0080", "\u00f6", "\u20ac", "\U0001f600", "\ufb33"]
    positions = [canonical(given).decode().index(f'"{key}"' if key != "\r" else '"\\r"') for key in order]
    assert positions == sorted(positions)


# RFC 8785, appendix B: IEEE 754 bits as hexadecimal, and their one text.
@pytest.mark.parametrize(
    ("value", "text"),
    [
        (-0.0, "0"),
        (5e-324, "5e-324"),
        (1.7976931348623157e308, "1.7976931348623157e+308"),
        (9007199254740992.0, "9007199254740992"),
        (295147905179352830000.0, "295147905179352830000"),
        (9.999999999999997e22, "9.999999999999997e+22"),
        (999999999999999900000.0, "999999999999999900000"),
        (1e21, "1e+21"),
        (333333333.33333325, "333333333.33333325"),
        (0.000001, "0.000001"),
        (1e-7, "1e-7"),
    ],
)
def test_a_number_has_the_text_of_rfc_8785_appendix_b(value, text):
    assert canonical(value).decode() == text


@pytest.mark.parametrize("value", [float("nan"), float("inf"), 2**53, "\ud800", b"bytes"])
def test_what_json_has_no_form_for_has_no_digest(value):
    with pytest.raises(ValueError):
        digest_json(value)


@given(values)
def test_the_order_of_keys_does_not_change_a_digest(value):
    def reversed_keys(part):
        if isinstance(part, dict):
            return {key: reversed_keys(part[key]) for key in reversed(part)}
        return [reversed_keys(item) for item in part] if isinstance(part, list) else part

    assert digest_json(reversed_keys(value)) == digest_json(value)


@given(values, values)
def test_different_values_have_different_digests(one, other):
    assert (digest_json(one) == digest_json(other)) == (repr_of(one) == repr_of(other))


def repr_of(value):
    """A form of its own that tells true from 1 and forgets the order of keys."""
    if isinstance(value, dict):
        return ("dict", frozenset((key, repr_of(item)) for key, item in value.items()))
    return ("list", tuple(map(repr_of, value))) if isinstance(value, list) else (type(value), value)


def test_folder_names_carry_the_digest_without_its_prefix():
    assert hex_of(digest_bytes(b"abc")) == ABC


def test_people_read_the_first_twelve_digits():
    assert short(digest_bytes(b"abc")) == "ba7816bf8f01"
