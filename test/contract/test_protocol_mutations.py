"""The protocol's tests notice every small mistake that can be made in it."""

import subprocess
import sys

import pytest

from test.contract.mutants import ROOT, mutants

# Mistakes that change nothing, by the exact text of the line with the mistake, and why.
EQUIVALENT = {
    "return int(min(2 ** min(max(receives - 1, 0), 17), MAX_BACKOFF_SECONDS))": "a minute is less than either power",
    "return int(number) if before == request_id and number.isdecimal() and (len(number) < 10) else None": (
        "where there is no mark there is nothing before it, and no request id is empty"
    ),
}


def test_mistakes_are_made_of_every_kind() -> None:
    """In conditions, values, comparisons, constants and returns."""
    source = 'def f(a, b):\n    """Doc."""\n    return max(a + 1, 2) if a == b and not a else {"k": a}\n'
    after = {each.after.removeprefix("return ") for each in mutants(source)}
    assert after == {
        "None",
        'not (max(a + 1, 2) if a == b and (not a) else {"k": a})'.replace('"', "'"),
        *(
            text.replace('"', "'")
            for text in (
                'max(a + 1, 2) if True else {"k": a}',
                'max(a + 1, 2) if False else {"k": a}',
                'max(a + 1, 2) if a == b or not a else {"k": a}',
                'max(a + 1, 2) if not a else {"k": a}',
                'max(a + 1, 2) if a == b else {"k": a}',
                'max(a + 1, 2) if a != b and (not a) else {"k": a}',
                'max(a + 1, 2) if a == b and a else {"k": a}',
                'min(a + 1, 2) if a == b and (not a) else {"k": a}',
                'max(a - 1, 2) if a == b and (not a) else {"k": a}',
                'max(a + 2, 2) if a == b and (not a) else {"k": a}',
                'max(a + 1, 3) if a == b and (not a) else {"k": a}',
                "max(a + 1, 2) if a == b and (not a) else {}",
                'max(a + 1, 2) if a == b and (not a) else {"kx": a}',
            )
        ),
    }


@pytest.mark.local
@pytest.mark.timeout(300)
def test_every_mistake_in_the_protocol_is_noticed() -> None:
    """Survivors are listed; one that changes nothing belongs into the list above, with the reason."""
    command = [sys.executable, "-m", "test.contract.mutants"]
    ran = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert not ran.returncode, ran.stderr
    survivors = dict(line.split("  =>  ")[::-1] for line in ran.stdout.splitlines())
    unknown = {after: before for after, before in survivors.items() if after not in EQUIVALENT}
    assert not unknown, "\n".join(f"{before}  =>  {after}" for after, before in unknown.items())
    assert EQUIVALENT.keys() <= survivors.keys(), "one of the list above is noticed by now"
