"""The lock's decisions are pure: a machine of random operators finds no way to hold it twice."""

from typing import Any

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from aiops.layers.l1_cluster.remote import lock as remote

NOBODY: dict[str, Any] = {"user": "u", "host": "h"}
CLIENTS = ("ann", "bob", "cid")


def at(up: float, *, boot: str = "b1", wall: float | None = None) -> dict[str, Any]:
    return {"wall": 1_000.0 + up if wall is None else wall, "up": up, "boot": boot}


def acquire(token: str, dead: int | None = None) -> dict[str, Any]:
    return {"verb": "acquire", "token": token, "owner": NOBODY, "dead": dead}


class Operators(RuleBasedStateMachine):
    """Three operators, a clock that may be set back or forth, and a keeper that may reboot."""

    def __init__(self) -> None:
        super().__init__()
        self.state = remote.empty()
        self.up, self.wall, self.boot = 1_000.0, 50_000.0, 0
        self.owner: str | None = None
        self.renewed = 0.0
        self.epochs: list[int] = []
        self.serial = 0
        self.tokens: dict[str, str] = {}

    def ask(self, request: dict[str, Any]) -> dict[str, Any]:
        now = {"wall": self.wall, "up": self.up, "boot": f"boot-{self.boot}"}
        self.state, answer = remote.decide(self.state, request, now)
        return answer

    @rule(seconds=st.floats(0, 100))
    def time_passes(self, seconds: float) -> None:
        self.up += seconds
        self.wall += seconds

    @rule(step=st.floats(-100_000, 100_000))
    def the_wall_clock_is_set(self, step: float) -> None:
        self.wall = max(0.0, self.wall + step)

    @rule()
    def the_keeper_reboots(self) -> None:
        self.boot += 1
        self.up = 0.0
        self.renewed = 0.0

    @rule(client=st.sampled_from(CLIENTS), knows_dead=st.booleans())
    def acquires(self, client: str, knows_dead: bool) -> None:
        self.serial += 1
        token = f"{client}-{self.serial}"
        dead = self.epochs[-1] if knows_dead and self.epochs else None
        answer = self.ask(acquire(token, dead))
        free = self.owner is None
        allowed = free or self.up - self.renewed >= remote.STALE_SECONDS or dead is not None
        assert (answer["answer"] == "granted") == allowed
        if allowed:
            assert answer["epoch"] > max(self.epochs, default=0)
            assert (answer["previous"] is None) == free
            self.epochs.append(answer["epoch"])
            self.owner, self.renewed = client, self.up
            self.tokens[client] = token

    @rule(client=st.sampled_from(CLIENTS), verb=st.sampled_from(["renew", "release"]))
    def uses(self, client: str, verb: str) -> None:
        token = self.tokens.get(client, "never")
        mine = self.state["holder"] is not None and self.state["holder"]["token"] == token
        answer = self.ask({"verb": verb, "token": token})
        assert (answer["answer"] != "refused") == mine == (self.owner == client and mine)
        if mine and verb == "renew":
            self.renewed = self.up
        if mine and verb == "release":
            self.owner = None

    @rule(client=st.sampled_from(CLIENTS), ahead=st.integers(-50, 50_000))
    def surpasses(self, client: str, ahead: int) -> None:
        token = self.tokens.get(client, "never")
        mine = self.state["holder"] is not None and self.state["holder"]["token"] == token
        seen = max(self.epochs, default=0) + ahead
        answer = self.ask({"verb": "surpass", "token": token, "seen": seen})
        assert (answer["answer"] == "renewed") == mine
        if mine:
            assert answer["epoch"] > seen
            self.epochs[-1] = answer["epoch"]
            self.renewed = self.up

    @rule(back=st.integers(0, 3))
    def is_released_by_hand(self, back: int) -> None:
        if len(self.epochs) <= back:
            return
        epoch = self.epochs[-1 - back]
        answer = self.ask({"verb": "release", "epoch": epoch})
        current = self.owner is not None and back == 0
        assert (answer["answer"] == "released") == current
        if current:
            self.owner = None

    @invariant()
    def one_holder_and_a_state_that_can_be_read(self) -> None:
        import json

        assert remote.parse(json.dumps(self.state)) == self.state
        assert (self.state["holder"] is None) == (self.owner is None)
        assert self.state["epoch"] == max(self.epochs, default=0)


Operators.TestCase.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
TestOperators = Operators.TestCase


def test_a_lost_answer_is_asked_again_without_harm() -> None:
    state, first = remote.decide(remote.empty(), acquire("t"), at(0))
    again, second = remote.decide(state, acquire("t"), at(5))
    assert (first["answer"], second["answer"]) == ("granted", "granted")
    assert first["epoch"] == second["epoch"]
    assert again["holder"]["renewed_up"] == 5


def test_the_claim_of_death_names_one_tenure_only() -> None:
    state, first = remote.decide(remote.empty(), acquire("a"), at(0))
    state, second = remote.decide(state, acquire("b", dead=first["epoch"]), at(1))
    assert second["reason"] == "dead"
    _, third = remote.decide(state, acquire("c", dead=first["epoch"]), at(2))
    assert third["answer"] == "held"


@pytest.mark.parametrize(("seconds", "answer"), [(59.9, "held"), (60.0, "granted")])
def test_an_unrenewed_lock_is_free_after_sixty_seconds(seconds: float, answer: str) -> None:
    state, _ = remote.decide(remote.empty(), acquire("a"), at(100))
    assert remote.decide(state, acquire("b"), at(100 + seconds))[1]["answer"] == answer


def test_setting_the_wall_clock_frees_nothing() -> None:
    state, _ = remote.decide(remote.empty(), acquire("a"), at(100, wall=1_000))
    assert remote.decide(state, acquire("b"), at(101, wall=900_000))[1]["answer"] == "held"


def test_after_a_reboot_of_the_keeper_the_owner_has_time_to_come_back() -> None:
    state, _ = remote.decide(remote.empty(), acquire("a"), at(90_000))
    assert remote.decide(state, acquire("b"), at(59, boot="b2"))[1]["answer"] == "held"
    state, renewed = remote.decide(state, {"verb": "renew", "token": "a"}, at(59, boot="b2"))
    assert renewed["answer"] == "renewed"
    assert remote.decide(state, acquire("b"), at(118, boot="b2"))[1]["answer"] == "held"


def test_an_epoch_is_not_used_twice_when_the_state_was_lost() -> None:
    _, before = remote.decide(remote.empty(), acquire("a"), at(0, wall=1_000_000))
    _, after = remote.decide(remote.empty(), acquire("b"), at(0, wall=1_000_060))
    assert after["epoch"] > before["epoch"]


def test_the_token_is_shown_to_nobody() -> None:
    state, granted = remote.decide(remote.empty(), acquire("sesame"), at(0))
    requests = ({"verb": "show"}, acquire("b"), {"verb": "renew", "token": "x"}, acquire("c", dead=granted["epoch"]))
    answers = [remote.decide(state, request, at(1))[1] for request in requests]
    assert "sesame" not in repr([granted, *answers])


@pytest.mark.parametrize(
    "text", ["", "{", "[]", "null", '{"v": 2, "epoch": 1, "holder": null}', '{"v": 1, "epoch": 1, "holder": {}}']
)
def test_a_state_that_is_not_ours_is_refused(text: str) -> None:
    with pytest.raises(remote.UnreadableError):
        remote.parse(text)
