"""Values of policies, as people write them and as the database keeps them."""

from dataclasses import asdict

import pytest

from ledger.admin.policies import CHOICES, KINDS, LONGEST_S, PolicyError, allowed, checked, in_force, parse
from ledger.core.policy import Policy


@pytest.mark.parametrize("name", CHOICES)
def test_each_word_is_one_of_a_list(name):
    """All that the list has are taken, and nothing beside it; the message names them."""
    assert [parse(name, word) for word in CHOICES[name]] == list(CHOICES[name])
    with pytest.raises(PolicyError, match=f"policy {name} cannot be 'sometimes': it is {' or '.join(CHOICES[name])}"):
        parse(name, "sometimes")


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind is bool])
@pytest.mark.parametrize("text", ["True", "1", "yes", ""])
def test_a_switch_is_true_or_false(name, text):
    """Spelled that way and no other: what means something else elsewhere is not guessed."""
    assert (parse(name, "true"), parse(name, "false")) == (True, False)
    with pytest.raises(PolicyError, match="it is true or false"):
        parse(name, text)


@pytest.mark.parametrize("name", [name for name, kind in KINDS.items() if kind is int])
@pytest.mark.parametrize("text", ["-1", "1.5", "1e3", " 1", "١", str(LONGEST_S + 1), "9" * 5000])
def test_seconds_are_a_bounded_whole_number(name, text):
    """From 0 to ten years, in plain digits."""
    assert [parse(name, good) for good in ("0", "3600", str(LONGEST_S))] == [0, 3600, LONGEST_S]
    with pytest.raises(PolicyError, match=f"0 to {LONGEST_S} seconds"):
        parse(name, text)


def test_a_stored_value_has_its_own_type():
    """What JSON could confuse is refused: a number for a switch, a switch for seconds, a text for a number."""
    switch, seconds = (next(name for name, kind in KINDS.items() if kind is wanted) for wanted in (bool, int))
    for name, value in ((switch, 1), (seconds, True), (seconds, "3"), (next(iter(CHOICES)), None)):
        with pytest.raises(PolicyError, match=f"policy {name} cannot be"):
            checked(name, value)


def test_an_unknown_policy_is_answered_with_the_known_ones():
    """Whoever mistypes one sees what there is, wherever they name it."""
    for use in (lambda: parse("captur", "x"), lambda: allowed("captur"), lambda: in_force(Policy(), {"captur": "x"})):
        with pytest.raises(PolicyError, match=r"there is no policy 'captur': there are .*capture"):
            use()


def test_what_is_stated_stands_and_the_rest_stays():
    """An integration's values replace those of its dialect, one by one."""
    word = CHOICES["capture"][-1]
    changed = in_force(Policy(), {"capture": word})
    assert asdict(changed) == asdict(Policy()) | {"capture": word}
    assert in_force(Policy(), {}) == Policy()


def test_a_value_of_a_newer_version_is_refused():
    """Better no answer than one by other rules."""
    with pytest.raises(PolicyError, match="cannot be 'by_lottery'"):
        in_force(Policy(), {"capture": "by_lottery"})


def test_the_defaults_are_values_that_may_be():
    """Every field of a policy is of a kind that people can write, and its default is one of its values."""
    assert {name: checked(name, value) for name, value in asdict(Policy()).items()} == asdict(Policy())
