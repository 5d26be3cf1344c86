"""What faults make of texts and tokens."""

from __future__ import annotations

from random import Random

from rtcli.load.audit.token import LENGTH, encode_token, room_code
from tests.support.load.audit_world.records import Message

RUN = 77
CHARACTERS = 'ab "\\/\n\t\x01<&>\u00e9\u4e2d\u0645\u2028\U0001f600~'


def random_text(rng: Random) -> str:
    """A text of all kinds of characters; often none."""
    if rng.random() < 0.3:
        return ""
    return " " + "".join(rng.choice(CHARACTERS) for _ in range(rng.randint(1, 12)))


def alter(rng: Random, text: str) -> str:
    """Another text with the same token: cut, replaced, or with a character changed."""
    rest = text[LENGTH:]
    if not rest:
        return text
    at = rng.randrange(len(rest))
    other = rng.choice(
        [rest[:at], "*" * len(rest), rest[:at] + "x" + rest[at + 1 :], rest[:at] + "\\" + rest[at:]]
    )
    return text[:LENGTH] + ("" if other.startswith(rest) else other)


def damage(rng: Random, token: bytes) -> bytes:
    """The token with one of its characters changed, behind the mark."""
    at = rng.randrange(3, LENGTH - 1)
    return token[:at] + (b"A" if token[at : at + 1] != b"A" else b"B") + token[at + 1 :]


def invented(rng: Random, message: Message) -> bytes:
    """A token that nobody sent: of another run, of no sender, or beyond what this sender sent."""
    code = room_code(message.room)
    beyond = message.number + rng.choice([1_000, 100_000])
    return rng.choice(
        [
            encode_token(RUN + 1, 3, 5, 1, 1, room=code),
            encode_token(RUN, 200_000, 5, 1, 1, room=rng.choice([0, code])),
            encode_token(RUN, message.log.number, beyond, message.sent, 0, room=code),
        ]
    )
