"""The issuer's keys: fetched, kept, fetched again."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ak_lambda.jwt_authorizer.keys import Keys, KeysUnavailableError
from ak_lambda.jwt_authorizer.tokens import Key

DAY = 86_400


def key(kid: str | None, algorithm: str = "RS256") -> Key:
    """Make a key without a key."""
    return Key(kid=kid, algorithms=frozenset({algorithm}), jwk=())


class World:
    """An issuer, a clock, and what an environment knows."""

    def __init__(self, *published: Key) -> None:
        self.published = list(published)
        self.is_down = False
        self.now = 1000.0
        self.loads = 0
        self.seconds_to_load = 0.0
        self.keys = Keys(self._load, lambda: self.now)

    def _load(self) -> list[Key]:
        self.loads += 1
        self.now += self.seconds_to_load
        if self.is_down:
            raise KeysUnavailableError("TimeoutError")
        return list(self.published)

    def find(self, kid: str | None, algorithm: str = "RS256") -> list[Key]:
        """Find a key."""
        return self.keys.find(kid, algorithm)


def test_keys_are_fetched_once_and_again_when_they_are_old() -> None:
    """After ten minutes."""
    world = World(key("a"))
    assert world.loads == 0
    for _ in range(3):
        assert world.find("a") == [key("a")]
    world.now += 599
    world.find("a")
    assert world.loads == 1
    world.now += 1
    world.find("a")
    assert world.loads == 2


def test_a_key_that_the_issuer_withdrew_is_gone_when_keys_are_fetched_again() -> None:
    """Nothing is kept besides what was read last."""
    world = World(key("a"), key("b"))
    world.find("a")
    world.published = [key("b")]
    world.now += 600
    assert world.find("a") == []


def test_a_rotation_is_picked_up_at_once() -> None:
    """By one more fetch, however new the keys are."""
    world = World(key("a"))
    world.find("a")
    world.published = [key("a"), key("b")]
    assert world.find("b") == [key("b")]
    assert world.loads == 2


def test_unknown_names_cannot_make_us_ask_often() -> None:
    """Once in half a minute, whoever makes them up; and not at all when the keys were read just now."""
    world = World(key("a"))
    assert world.find("x") == []
    assert world.loads == 1
    for _ in range(100):
        assert world.find("x") == []
    assert world.loads == 2
    world.now += 30
    world.find("y")
    assert world.loads == 3
    world.now += 29
    world.find("z")
    assert world.loads == 3


def test_the_last_good_keys_go_on_for_a_day(caplog: pytest.LogCaptureFixture) -> None:
    """While the issuer is away it is asked every half minute, not by every caller."""
    world = World(key("a"))
    world.find("a")
    world.is_down = True
    world.now += 600
    for _ in range(10):
        assert world.find("a") == [key("a")]
    assert world.loads == 2
    assert caplog.messages == ["keys not read: TimeoutError"]
    world.now += DAY - 601
    assert world.find("a") == [key("a")]
    world.now += 1
    with pytest.raises(KeysUnavailableError):
        world.find("a")
    world.is_down = False
    world.now += 30
    assert world.find("a") == [key("a")]


def test_an_unknown_name_during_an_outage_leaves_the_keys_as_they_are() -> None:
    """It is refused, the others are not."""
    world = World(key("a"))
    world.find("a")
    world.is_down = True
    assert world.find("b") == []
    assert world.find("a") == [key("a")]
    assert world.loads == 2


def test_an_issuer_that_does_not_answer_is_waited_for_once_by_a_caller() -> None:
    """Two waits would outlast the function, and a new environment has no last good keys."""
    world = World(key("a"))
    world.find("a")
    world.is_down, world.seconds_to_load = True, 6
    world.now += 600
    assert world.find("made up") == []
    assert world.loads == 2
    assert world.find("a") == [key("a")]


def test_without_any_key_the_issuer_is_asked_again_after_five_seconds() -> None:
    """Each caller in between hears at once that it is away, and holds up no environment."""
    world = World(key("a"))
    world.is_down = True
    for _ in range(5):
        with pytest.raises(KeysUnavailableError, match=r"^the keys of the issuer cannot be read$"):
            world.find("a")
    assert world.loads == 1
    world.now += 5
    world.is_down = False
    assert world.find("a") == [key("a")]


def test_a_failure_that_took_long_counts_from_its_end() -> None:
    """Or the next caller would wait as long."""
    world = World(key("a"))
    world.is_down, world.seconds_to_load = True, 6
    for _ in range(2):
        with pytest.raises(KeysUnavailableError):
            world.find("a")
    assert world.loads == 1


@pytest.mark.parametrize(
    ("published", "kid", "algorithm", "found"),
    [
        ([key("a"), key("b")], "b", "RS256", [key("b")]),
        ([key("a")], "a", "ES256", []),
        ([key("a"), key("a", "ES256")], "a", "ES256", [key("a", "ES256")]),
        ([key("a")], None, "RS256", [key("a")]),
        ([key(None)], None, "RS256", [key(None)]),
        ([key("a"), key("b", "ES256")], None, "RS256", []),
        ([key(None)], "a", "RS256", []),
        ([key("a")], "", "RS256", []),
    ],
)
def test_a_key_is_found_by_name_and_algorithm(
    published: list[Key], kid: str | None, algorithm: str, found: list[Key]
) -> None:
    """A token without a name is taken where there is but one key."""
    assert World(*published).find(kid, algorithm) == found


@given(st.lists(st.tuples(st.sampled_from("abx"), st.sampled_from([0, 1, 29, 30, 600, DAY]), st.booleans())))
def test_never_more_fetches_than_time_allows(steps: list[tuple[str, int, bool]]) -> None:
    """Whatever is asked, and whether or not the issuer is there: known keys are found for a day after a fetch."""
    world = World(key("a"), key("b"))
    good_until = 0.0
    for kid, later, is_down in steps:
        world.now += later
        world.is_down = is_down
        before = world.loads
        try:
            found = world.find(kid)
        except KeysUnavailableError:
            assert world.now >= good_until
            found = None
        assert world.loads - before <= 2
        if found is not None and kid != "x":
            assert found == [key(kid)]
        if world.loads > before and not is_down:
            good_until = world.now + DAY
    assert world.loads <= 2 + sum(2 for _, later, _ in steps if later)
