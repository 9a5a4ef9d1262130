"""What a conversation keeps, how much and how long."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.shared import turns
from ak_lambda.shared.turns import DAY_SECONDS, MARK, Keeping

TEXTS = st.text(st.characters(codec="utf-8"), max_size=200)


@pytest.mark.parametrize(
    ("text", "most", "expected"),
    [
        ("", 8, ""),
        ("12345678", 8, "12345678"),
        ("123456789", 8, "12345…"),
        ("ééééé", 8, "éé…"),
        ("😀😀😀", 8, "😀…"),
        ("a\ud800b", 8, "a?b"),
        ("x" * 32_000, turns.MAX_TEXT_BYTES, "x" * 32_000),
        ("x" * 32_001, turns.MAX_TEXT_BYTES, "x" * 31_997 + "…"),
    ],
)
def test_a_text_is_cut_between_characters_and_marked(text: str, most: int, expected: str) -> None:
    """Half a character would be no text, and half a surrogate pair is none to begin with."""
    assert turns.cut(text, most) == expected


@given(TEXTS, st.integers(min_value=3, max_value=100))
def test_a_cut_text_fits_and_begins_like_the_whole(text: str, most: int) -> None:
    """And it is no shorter than it must be."""
    cut = turns.cut(text, most)
    assert len(cut.encode()) <= most
    if cut != text:
        assert len(text.encode()) > most
        assert cut.endswith(MARK)
        assert text.startswith(cut.removesuffix(MARK))
        assert len(cut.encode()) > most - 4


def turn(size: int) -> dict[str, str]:
    """Make a turn whose texts take so many bytes."""
    return {"prompt": "p" * (size // 2), "answer": "a" * (size - size // 2)}


@pytest.mark.parametrize(
    ("sizes", "count", "kept"),
    [
        ([], 5, []),
        ([10, 20, 30], 5, [30, 20, 10]),
        ([10, 20, 30], 2, [20, 10]),
        ([60, 40, 10], 5, [40, 60]),
        ([60, 41, 10], 5, [60]),
        ([101, 1], 5, []),
    ],
)
def test_the_newest_turns_that_fit_are_given_oldest_first(sizes: list[int], count: int, kept: list[int]) -> None:
    """No gap: what is older than a turn that does not fit is left out too."""
    found = turns.latest([turn(size) for size in sizes], count, 100)
    assert [len(each["prompt"]) + len(each["answer"]) for each in found] == kept


@given(st.lists(st.tuples(TEXTS, TEXTS)), st.integers(min_value=1, max_value=10), st.integers(0, 1000))
def test_a_history_never_takes_more_than_its_bytes(texts: list[tuple[str, str]], count: int, most: int) -> None:
    """Counted as UTF-8, over all its texts."""
    newest_first = [{"prompt": prompt, "answer": answer} for prompt, answer in texts]
    found = turns.latest(newest_first, count, most)
    assert sum(len(each["prompt"].encode()) + len(each["answer"].encode()) for each in found) <= most
    assert found == newest_first[: len(found)][::-1]
    assert len(found) <= count


def test_keys_sort_by_time_whatever_the_requests_are_called() -> None:
    """From 1970 on, for three hundred years."""
    keys = [turns.turn_key(ms, request) for ms, request in [(0, "z"), (9, "y"), (1_800_000_000_000, "x")]]
    assert keys == sorted(keys)
    assert keys[1] == "turn#0000000000009#y"


def test_an_owner_outlives_a_turn_that_comes_as_late_as_a_turn_can() -> None:
    """Fourteen days in a queue, fourteen among dead letters, fourteen parked; then the turn is kept for its time."""
    keeping = Keeping(ttl_seconds=30 * DAY_SECONDS, turns=5)
    least_left_after_a_claim = next(left for left in range(200) if not keeping.is_short(left * DAY_SECONDS))
    assert least_left_after_a_claim >= 3 * 14 + 30
    assert not keeping.is_short(keeping.owner_seconds - 14 * DAY_SECONDS), "most claims write nothing"
