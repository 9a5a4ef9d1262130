"""What conversations do wherever they are kept: run with fakes in milliseconds, and against the real things."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

from ak_lambda.shared import turns
from ak_lambda.shared.sessions import Sessions
from ak_lambda.shared.turns import DAY_SECONDS, Keeping

KEEPING = Keeping(ttl_seconds=30 * DAY_SECONDS, turns=3)
START = 1_800_000_000


@dataclass
class Kept:
    """Conversations, with a clock to turn.

    Attributes:
        open: Opens them, as another environment would.
        advance: Tells the store that so many seconds went by, where it has a clock of its own.
        now: The time.
    """

    open: Callable[[], Sessions]
    advance: Callable[[int], None]
    now: int = START

    def later(self, days: int) -> None:
        """Let days go by."""
        self.advance(days * DAY_SECONDS)
        self.now += days * DAY_SECONDS

    def claim(self, user_id: str | None, session_id: str = "s-1", *, new: bool = False) -> bool:
        """Claim a session."""
        return self.open().claim(session_id, user_id, now=self.now, new=new)

    def add(self, number: int, *, prompt: str = "", answer: str = "", session_id: str = "s-1") -> str:
        """Keep a numbered turn and give its key."""
        key = turns.turn_key(number, f"r-{number}")
        self.open().add_turn(
            session_id,
            key=key,
            prompt=prompt or f"prompt {number}",
            answer=answer or f"answer {number}",
            request_id=f"r-{number}",
            created_at=number,
            now=self.now,
        )
        return key

    def history(self, session_id: str = "s-1", before: str | None = None) -> list[dict[str, Any]]:
        """Read the last turns."""
        return self.open().history(session_id, now=self.now, before=before)

    def numbers(self, before: str | None = None) -> list[int]:
        """Read the last turns' numbers."""
        return [each["created_at"] for each in self.history(before=before)]


class SessionsSuite:
    """A subclass's module has the fixture `kept`."""

    def test_a_session_belongs_to_the_user_who_opened_it(self, kept: Kept) -> None:
        """To nobody else, and not to nobody."""
        assert kept.claim("alice")
        assert kept.claim("alice")
        assert not kept.claim("bob")
        assert not kept.claim(None)
        assert kept.claim("bob", "s:2.b_-")

    def test_a_session_that_nobody_opened_is_nobodys(self, kept: Kept) -> None:
        """Nor does it become somebody's whose name reads like nobody."""
        assert kept.claim(None)
        assert kept.claim(None)
        for user_id in ("alice", "null", "None", ""):
            assert not kept.claim(user_id)

    def test_of_many_who_want_a_session_at_once_one_gets_it(self, kept: Kept) -> None:
        """However close together they come."""
        for session in range(5):
            with ThreadPoolExecutor(8) as pool:
                won = list(pool.map(lambda user, session=session: kept.claim(user, f"race-{session}"), "abcdefgh"))
            assert won.count(True) == 1
            assert kept.claim("abcdefgh"[won.index(True)], f"race-{session}")

    def test_a_repeated_claim_of_a_new_session_is_the_same_users(self, kept: Kept) -> None:
        """And an id that is taken after all is somebody else's."""
        assert kept.claim("alice", new=True)
        assert kept.claim("alice", new=True)
        assert not kept.claim("bob", new=True)

    def test_a_session_outlives_its_turns_and_is_then_anybodys(self, kept: Kept) -> None:
        """The owner is the last to be forgotten."""
        assert kept.claim("alice")
        kept.add(1)
        kept.later(31)
        assert kept.history() == []
        assert not kept.claim("bob")
        kept.later(60)
        assert kept.claim("bob")
        assert not kept.claim("alice")

    def test_a_session_that_is_used_stays_its_users(self, kept: Kept) -> None:
        """Long after the first owner would have been forgotten."""
        assert kept.claim("alice")
        for _ in range(6):
            kept.later(20)
            assert kept.claim("alice")
        kept.later(70)
        assert not kept.claim("bob")

    def test_the_last_turns_come_oldest_first(self, kept: Kept) -> None:
        """With everything that was kept of them."""
        for number in (1, 3, 2, 4, 5):
            kept.add(number)
        assert kept.history() == [
            {"prompt": f"prompt {n}", "answer": f"answer {n}", "request_id": f"r-{n}", "created_at": n}
            for n in (3, 4, 5)
        ]

    def test_a_session_without_turns_has_no_history(self, kept: Kept) -> None:
        """Whether it was opened or not, and whatever is in others."""
        kept.add(1, session_id="s-2")
        assert kept.history() == []
        assert kept.claim("alice")
        assert kept.history() == []
        assert kept.history(before=turns.turn_key(9, "r-9")) == []

    def test_a_repeated_run_does_not_see_its_own_turn(self, kept: Kept) -> None:
        """Nor what came later, but as much of what came before as the first time."""
        for number in (1, 2, 3):
            kept.add(number)
        own = turns.turn_key(4, "r-4")
        assert kept.numbers(before=own) == [1, 2, 3]
        assert kept.add(4) == own
        assert kept.numbers(before=own) == [1, 2, 3]
        kept.add(5)
        assert kept.numbers(before=own)[-2:] == [2, 3], "in Redis, of four that are kept, these two"

    def test_a_repeated_run_overwrites_its_own_turn(self, kept: Kept) -> None:
        """The last answer is the one that the user got."""
        kept.add(1, answer="first")
        kept.add(1, answer="second")
        assert [each["answer"] for each in kept.history()] == ["second"]

    def test_each_turn_is_forgotten_in_its_own_time(self, kept: Kept) -> None:
        """Not when the session's last one is."""
        kept.add(1)
        kept.later(20)
        kept.add(2)
        kept.later(15)
        assert kept.numbers() == [2]

    def test_texts_and_history_keep_within_their_bytes(self, kept: Kept) -> None:
        """A long text is cut, and of long turns fewer are given."""
        kept.add(1, prompt="é" * 40_000, answer="x" * 18_000)
        (only,) = kept.history()
        assert only["prompt"] == "é" * 15_998 + "…"
        kept.add(2, prompt="p" * 30_000, answer="a" * 20_000)
        assert kept.numbers() == [1, 2]
        kept.add(3, prompt="p")
        assert kept.numbers() == [2, 3]

    def test_any_text_comes_back_as_it_was(self, kept: Kept) -> None:
        """Quotes, control characters, other scripts; half a surrogate pair is the one thing that cannot."""
        for number, text in enumerate(["\x00\n\"'\\{}", "日本語 😀", " ", "🇨🇭e\u0301"], start=1):
            kept.add(number, prompt=text, answer=text)
            assert kept.history()[-1]["prompt"] == kept.history()[-1]["answer"] == text
        kept.add(9, prompt="half \ud83d")
        assert kept.history()[-1]["prompt"] == "half ?"
