"""What Redis holds, and the in-flight logs beside it, as files that can be committed, and back again."""

from __future__ import annotations

import gzip
import json
import re
import socket
from pathlib import Path
from typing import Any, Final

from worker.local import process_identity
from worker.local.inflight_folder import LogFolder

BOOT: Final = "00000000-0000-4000-8000-000000000000"
"""In the place of the boot that it was written in: to whoever reads it, its workers died a moment ago."""

KEPT: Final = "/srv/shop"
"""In the place of the directory in which its files were kept."""

_PREFIX: Final = re.compile(r"^in-flight-[0-9a-f]{12}-")


def write(client: Any, logs: list[Path], about: dict[str, Any], folder: Path, directory: str) -> None:
    """Write all keys, the logs and what there is to know about them.

    Args:
        about: as JSON values; the tests know what to make of it.
        directory: where files were kept; it is written as `KEPT`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    for old in folder.iterdir():
        old.unlink()
    keys = [_key(client, name) for name in sorted(client.keys("*"))]
    text, host = json.dumps({"about": about, "keys": keys}, indent=1), socket.gethostname()
    # Where a description and Celery's header have it, and not in what is base64.
    text = text.replace(f"@{host}", "@host").replace(rf"\"host\": \"{host}\"", r"\"host\": \"host\"")
    text = text.replace(process_identity.boot(), BOOT).replace(directory, KEPT)
    (folder / "redis.json").write_text(text + "\n")
    for path in logs:
        name = _PREFIX.sub("", path.name).replace(process_identity.boot(), BOOT)
        (folder / f"in-flight-{name}.gz").write_bytes(gzip.compress(path.read_bytes(), mtime=0))


def _key(client: Any, name: bytes) -> dict[str, Any]:
    kind, ttl_ms = client.type(name).decode(), client.pttl(name)
    found = {"key": _text(name), "type": kind, "value": _READ[kind](client, name)}
    return found | ({"ttl_ms": ttl_ms} if ttl_ms >= 0 else {})


def about(folder: Path) -> dict[str, Any]:
    """What there is to know about it."""
    found: dict[str, Any] = json.loads((folder / "redis.json").read_text())["about"]
    return found


def restore(client: Any, folder: Path, logs: LogFolder) -> None:
    """Put it back, as of workers of this boot of this machine."""
    boot = process_identity.boot()
    found = json.loads((folder / "redis.json").read_text().replace(BOOT, boot))
    for key in found["keys"]:
        name = _bytes(key["key"])
        _WRITE[key["type"]](client, name, key["value"])
        if "ttl_ms" in key:
            client.pexpire(name, key["ttl_ms"])
    for path in folder.glob("in-flight-*.gz"):
        target = logs.of(path.name.removeprefix("in-flight-").removesuffix(".gz").replace(BOOT, boot))
        assert target is not None
        target.write_bytes(gzip.decompress(path.read_bytes()))


def _text(value: bytes) -> str:
    return value.decode("latin-1")


def _bytes(value: str) -> bytes:
    return value.encode("latin-1")


def _read_stream(client: Any, name: bytes) -> Any:
    groups = []
    for group in client.xinfo_groups(name):
        pending = client.xpending_range(name, group["name"], "-", "+", 1000) if group["pending"] else []
        claims = [[_text(each["message_id"]), _text(each["consumer"])] for each in pending]
        groups.append([_text(group["name"]), _text(group["last-delivered-id"]), claims])
    entries = [
        [_text(entry), {_text(field): _text(value) for field, value in fields.items()}]
        for entry, fields in client.xrange(name)
    ]
    return {"entries": entries, "groups": groups}


def _write_stream(client: Any, name: bytes, value: Any) -> None:
    for entry, fields in value["entries"]:
        client.xadd(name, {_bytes(field): _bytes(each) for field, each in fields.items()}, id=entry)
    for group, last, claims in value["groups"]:
        client.xgroup_create(name, group, last)
        for entry, consumer in claims:
            client.xclaim(name, group, consumer, 0, [entry], force=True, justid=True)


_READ: Final[dict[str, Any]] = {
    "string": lambda client, name: _text(client.get(name)),
    "hash": lambda client, name: {_text(k): _text(v) for k, v in sorted(client.hgetall(name).items())},
    "list": lambda client, name: [_text(each) for each in client.lrange(name, 0, -1)],
    "set": lambda client, name: sorted(map(_text, client.smembers(name))),
    "zset": lambda client, name: [[_text(m), s] for m, s in client.zrange(name, 0, -1, withscores=True)],
    "stream": _read_stream,
}
_WRITE: Final[dict[str, Any]] = {
    "string": lambda client, name, value: client.set(name, _bytes(value)),
    "hash": lambda client, name, value: client.hset(
        name, mapping={_bytes(k): _bytes(v) for k, v in value.items()}
    ),
    "list": lambda client, name, value: client.rpush(name, *map(_bytes, value)),
    "set": lambda client, name, value: client.sadd(name, *map(_bytes, value)),
    "zset": lambda client, name, value: client.zadd(name, {_bytes(m): s for m, s in value}),
    "stream": _write_stream,
}
