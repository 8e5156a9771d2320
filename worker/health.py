"""Whether the workers of this machine, or container, consume: what a health check asks."""

from __future__ import annotations

from worker.settings import broker_from_environ
from worker.store.keys import Keys
from worker.store.members import SILENCE_S, Membership
from worker.store.scripts import Away, Scripts


def check() -> tuple[bool, str]:
    """Whether all is well, and a line that says so or why not.

    Raises:
        SettingsError: the environment cannot be right.
    """
    broker = broker_from_environ()
    keys = Keys(broker.queue, broker.results)
    scripts = Scripts(broker.redis_url, (keys.queue, keys.results), connections=1)
    members = Membership(scripts, keys)
    try:
        pulses = members.pulses_here()
    except Away as error:
        # Not the worker's fault, and restarting it would not help: it waits for Redis by itself.
        return True, f"Redis is away ({type(error).__name__}); the worker waits for it"
    if not pulses:
        return False, "no worker of this machine consumes"
    if max(pulses) > SILENCE_S:
        return False, f"a worker of this machine has not looked at the queue for {max(pulses):.0f} s"
    return (
        True,
        f"{len(pulses)} worker{'s' * (len(pulses) > 1)} of this machine consume{'s' * (len(pulses) == 1)}",
    )
