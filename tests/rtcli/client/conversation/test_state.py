"""The client's state machine against a model of a server: deliveries once and in order, whatever breaks."""

from __future__ import annotations

from collections import deque
from itertools import pairwise

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test

from rtcli.client.conversation.state import ClientState
from rtcli.client.events import Acked, Gap, Joined, Message, Reconnected
from rtcli.protocol.messages import client as c
from rtcli.protocol.messages import decode_server, encode
from rtcli.protocol.messages import server as s
from rtcli.protocol.position import Position, parse_position

ROOM = "general"


class Conversation(RuleBasedStateMachine):
    """A client, a server with a log, and two queues between them that are lost together."""

    def __init__(self) -> None:
        super().__init__()
        self.state = ClientState(id_prefix="me")
        self.state.join(ROOM)
        self.now = 0.0
        self.epoch = 0
        self.log: list[s.NewMessageData] = []
        self.published: list[str] = []  # over all epochs
        self.keys: dict[str, s.NewMessageData] = {}
        self.member = False
        self.up: deque[c.ClientMessage] = deque()
        self.down: deque[bytes] = deque()
        self.connected = False
        self.delivered: list[Message] = []
        self.missed: list[Gap] = []
        self.acked: list[str] = []
        self.sent: list[str] = []
        self.backs = 0
        self.losses = 0
        self.is_behind = False  # the user of the client does not read

    def say(self, message: s.ServerMessage) -> None:
        assert not isinstance(message, s.Unknown)
        self.down.append(encode(message))

    def publish(self, content: str, identifier: str | None, sender: str) -> s.NewMessageData:
        data = s.NewMessageData(
            room=ROOM, content=content, sender_id=sender, sender_name=sender, timestamp="",
            offset=len(self.log) + 1, epoch=f"aaa{self.epoch}", id=identifier,
        )  # fmt: skip
        self.log.append(data)
        self.published.append(content)
        if self.member:
            self.say(s.NewMessage(data=data))
        return data

    @rule()
    def connect(self) -> None:
        if not self.connected:
            self.connected = True
            hello = s.ConnectedData(connection_id="c", user_id="me", instance_id="i", heartbeat_s=30.0)
            self.say(s.Connected(data=hello))

    @rule(keep_log=st.booleans(), keep_keys=st.booleans())
    def lose(self, keep_log: bool, keep_keys: bool) -> None:
        self.up.clear()
        self.down.clear()
        self.connected = self.member = False
        self.losses += 1 if self.state.connected else 0
        self.state.lost(self.now)
        if not keep_keys:
            self.keys = {}  # away for longer than the server remembers them
        if not keep_log:
            self.epoch = (self.epoch + 1) % 10
            self.log, self.keys = [], {}

    @rule()
    def client_sends(self) -> None:
        self.sent.append(f"mine {len(self.sent)}")
        self.state.send(ROOM, self.sent[-1])

    @rule()
    def somebody_publishes(self) -> None:
        self.publish(f"theirs {len(self.published)}", None, "bob")

    @rule(limited=st.booleans())
    def server_reads(self, limited: bool) -> None:
        if not self.up:
            return
        message = self.up.popleft()
        if isinstance(message, c.JoinRoom) and limited:
            data = s.ErrorData(code="unavailable", message="", retry_after_ms=1000)
            self.say(s.Error(data=data, id=message.id))
        elif isinstance(message, c.JoinRoom):
            self.answer_join(message)
        elif isinstance(message, c.ChatMessage) and limited:
            data = s.ErrorData(code="rate_limited", message="", retry_after_ms=1000)
            self.say(s.Error(data=data, id=message.id))
        elif isinstance(message, c.ChatMessage):
            assert self.member, "nothing is sent before the room is joined"
            identifier = message.id or ""
            duplicate = identifier in self.keys
            if not duplicate:
                self.keys[identifier] = self.publish(message.data.content, identifier, "me")
            place = self.keys[identifier]
            ack = s.AckData(room=ROOM, offset=place.offset, epoch=place.epoch, duplicate=duplicate)
            self.say(s.Ack(data=ack, id=identifier))

    def answer_join(self, message: c.JoinRoom) -> None:
        missed: list[s.NewMessageData] = []
        recovered, reason = None, None
        if message.data.since is not None:
            since = parse_position(message.data.since)
            recovered = since.epoch == f"aaa{self.epoch}" and since.offset <= len(self.log)
            reason = None if recovered else "epoch_changed"
            missed = self.log[since.offset :] if recovered else []
        joined = s.RoomJoinedData(
            room=ROOM, position=f"aaa{self.epoch}-{len(self.log)}", replayed=len(missed), members=(),
            member_count=1, recovered=recovered, reason=reason,
        )  # fmt: skip
        self.say(s.RoomJoined(data=joined, id=message.id))
        for publication in missed:
            self.say(s.NewMessage(data=publication))
        self.member = True

    @rule()
    def user_falls_behind(self) -> None:
        self.state.hold(ROOM)
        self.is_behind = True

    @rule()
    def user_goes_on(self) -> None:
        self.state.resume(ROOM)
        self.is_behind = False

    @rule()
    def client_reads(self) -> None:
        if not self.down:
            return
        for event in self.state.receive(decode_server(self.down.popleft()), self.now):
            match event:
                case Message():
                    assert not self.is_behind
                    self.delivered.append(event)
                case Gap():
                    self.missed.append(event)
                case Acked():
                    self.acked.append(event.id)
                case Reconnected():
                    self.backs += 1
                case Joined():
                    pass

    @rule(keep_keys=st.booleans())
    def answers_are_lost(self, keep_keys: bool) -> None:
        self.client_sends()
        self.moves()
        while self.up:
            self.server_reads(limited=False)
        self.lose(keep_log=True, keep_keys=keep_keys)
        self.connect()

    @rule(turns=st.integers(1, 6))
    def things_go_well(self, turns: int) -> None:
        for _ in range(turns):
            self.moves()
            self.server_reads(limited=False)
            self.client_reads()

    @rule(seconds=st.sampled_from([0.1, 1.0, 5.0]))
    def time_passes(self, seconds: float) -> None:
        self.now += seconds
        self.state.tick(self.now)

    @invariant()
    def moves(self) -> None:
        if self.connected:
            self.up.extend(self.state.take_outgoing())

    @invariant()
    def told_once_and_in_order(self) -> None:
        positions = [(message.position.epoch, message.position.offset) for message in self.delivered]
        assert len(set(positions)) == len(positions)
        for (epoch, offset), (next_epoch, next_offset) in pairwise(positions):
            assert epoch != next_epoch or next_offset > offset
        assert all(missed.reason == "epoch_changed" for missed in self.missed), (
            "no hole that the server did not make"
        )

    @invariant()
    def acknowledged_once_and_in_order(self) -> None:
        numbers = [int(identifier.removeprefix("me-c")) for identifier in self.acked]
        assert numbers == sorted(set(numbers))
        assert len(self.acked) + self.state.unsent == len(self.sent)

    @invariant()
    def in_the_log_once(self) -> None:
        own = [data.content for data in self.log if data.id is not None]
        assert len(own) == len(set(own))
        assert self.backs <= self.losses

    def teardown(self) -> None:
        """In the end everything that was sent is in a log, and all of the log came, whatever happened."""
        self.user_goes_on()
        for _ in range(1000):
            if self.state.unsent == 0 and self.connected and self.state.settled and not self.down:
                break
            self.connect()
            self.moves()
            self.server_reads(limited=False)
            self.client_reads()
            self.time_passes(seconds=5.0)
        assert self.state.unsent == 0
        assert self.state.position(ROOM) == Position(f"aaa{self.epoch}", len(self.log))
        assert [content for content in self.published if content in set(self.sent)] != [] or not self.sent


HELLO = s.Connected(
    data=s.ConnectedData(connection_id="c", user_id="me", instance_id="i", heartbeat_s=30.0),
)


def test_what_a_server_repeats_while_it_does_not_read_fills_no_memory() -> None:
    state = ClientState(id_prefix="me")
    state.join(ROOM)
    for _ in range(100):
        state.receive(HELLO, 0.0)
        state.receive(s.ServerPing(), 0.0)
    (join, pong) = state.take_outgoing()
    assert isinstance(join, c.JoinRoom)
    assert pong == c.Pong()
    joined = s.RoomJoinedData(
        room=ROOM, position="aaa0-0", replayed=0, recovered=False, members=(), member_count=1
    )
    state.receive(s.RoomJoined(data=joined, id=join.id), 0.0)
    text = state.send(ROOM, "hello")
    for _ in range(100):
        state.receive(s.Error(data=s.ErrorData(code="not_in_room", message=""), id=text), 0.0)
        state.receive(s.ServerPing(), 0.0)
    assert [type(message) for message in state.take_outgoing()] == [c.ChatMessage, c.JoinRoom, c.Pong]


def test_conversations(soak: bool) -> None:
    run_state_machine_as_test(
        Conversation,
        settings=settings(max_examples=2000 if soak else 100, stateful_step_count=40, deadline=None),
    )
