"""The order that receivers agree with best."""

from __future__ import annotations

from collections import Counter
from random import Random

from rtcli.load.audit.judgement.rank_aggregation import agreed_order


def is_within(sequence: tuple[int, ...], order: list[int]) -> bool:
    places = [order.index(item) for item in sequence]
    return places == sorted(places)


def test_all_that_was_guessed_is_in_the_order_once() -> None:
    assert agreed_order([], {}) == []
    assert sorted(agreed_order([2, 1, 3], {(1, 2): 1, (): 2})) == [1, 2, 3]


def test_receivers_who_do_not_contradict_each_other_are_all_right_whatever_was_guessed() -> None:
    rng = Random(7)
    for _ in range(300):
        truth = list(range(rng.randint(2, 30)))
        guess = rng.sample(truth, len(truth))
        seen = Counter(
            tuple(item for item in truth if rng.random() < rng.choice([0.2, 0.5, 0.9]))
            for _ in range(rng.randint(1, 9))
        )
        order = agreed_order(guess, seen)
        assert sorted(order) == truth
        assert all(is_within(sequence, order) for sequence in seen)


def test_the_majority_decides_in_a_contradiction() -> None:
    assert agreed_order([1, 2, 3], {(1, 2, 3): 2, (2, 1, 3): 1}) == [1, 2, 3]
    assert agreed_order([1, 2, 3], {(1, 2, 3): 1, (2, 1, 3): 2}) == [2, 1, 3]


def test_the_guess_stands_in_a_draw() -> None:
    assert agreed_order([1, 2], {(1, 2): 3, (2, 1): 3}) == [1, 2]
    assert agreed_order([2, 1], {(1, 2): 3, (2, 1): 3}) == [2, 1]


def test_a_message_moves_over_many_if_most_had_it_there() -> None:
    late = (1, 2, 3, 4, 5, 0)
    assert agreed_order([0, 1, 2, 3, 4, 5], {late: 5, (0, 1, 2, 3, 4, 5): 4}) == list(late)
    assert agreed_order(list(late), {late: 4, (0, 1, 2, 3, 4, 5): 5}) == [0, 1, 2, 3, 4, 5]


def test_one_wrong_receiver_among_many_is_outvoted_at_random_places() -> None:
    rng = Random(3)
    for _ in range(200):
        truth = list(range(rng.randint(3, 25)))
        wrong = list(truth)
        wrong.insert(rng.randrange(len(truth)), wrong.pop(rng.randrange(len(truth))))
        guess = rng.choice([truth, wrong])
        assert agreed_order(guess, Counter([tuple(truth), tuple(truth), tuple(wrong)])) == truth


def test_a_contradiction_leaves_the_rest_of_the_order_as_everybody_saw_it() -> None:
    seen = {(1, 2, 3, 4): 1, (1, 3, 2, 4): 2, (0, 1): 1, (4, 5): 1}
    assert agreed_order([5, 4, 2, 3, 1, 0], seen) == [0, 1, 3, 2, 4, 5]


def test_a_contradiction_too_large_to_settle_keeps_the_guess() -> None:
    guess = list(range(5_000))
    turned = tuple(reversed(guess))
    assert agreed_order(guess, {tuple(guess): 1, turned: 9}) == guess
