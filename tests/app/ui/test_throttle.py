"""Guessing is slow for those who guess, and for nobody else."""

from app.ui.throttle import Throttle


class Clock:
    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def test_tries_run_out_and_come_back() -> None:
    clock = Clock()
    throttle = Throttle(tries=3, seconds_per_try=10.0, clock=clock)
    assert [throttle.take("1.2.3.4") for _ in range(3)] == [0.0, 0.0, 0.0]
    assert throttle.take("1.2.3.4") == 10.0
    clock.now = 9.0
    assert throttle.take("1.2.3.4") > 0
    clock.now = 10.5
    assert throttle.take("1.2.3.4") == 0.0
    assert throttle.take("1.2.3.4") > 0


def test_nobody_is_locked_out_by_somebody_else() -> None:
    throttle = Throttle(tries=1, clock=Clock())
    throttle.take("1.2.3.4")
    assert throttle.take("1.2.3.4") > 0
    assert throttle.take("1.2.3.5") == 0.0


def test_a_right_password_costs_nothing() -> None:
    throttle = Throttle(tries=1, clock=Clock())
    for _ in range(5):
        assert throttle.take("1.2.3.4") == 0.0
        throttle.forgive("1.2.3.4")


def test_an_ipv6_network_counts_as_one() -> None:
    throttle = Throttle(tries=1, clock=Clock())
    assert throttle.take("2001:db8::1") == 0.0
    assert throttle.take("2001:db8::2") > 0
    assert throttle.take("2001:db8:0:1::1") == 0.0


def test_the_memory_of_addresses_is_bounded() -> None:
    throttle = Throttle(tries=1, addresses=10, clock=Clock())
    for last in range(200):
        throttle.take(f"10.0.0.{last}")
    assert len(throttle._left) == 10
