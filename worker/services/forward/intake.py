"""Where messages come from: what was taken before, the streams, and replays."""

from __future__ import annotations

from dataclasses import replace

from worker.services.forward.backlog import Backlog, Item
from worker.services.forward.clock import Clock
from worker.services.forward.schedule import LONGEST_GAP_MS
from worker.services.forward.settling import Settling
from worker.services.forward.webhook import NewerEntry, NotForwardable, Webhook, webhook_of
from worker.store.forward_state import DEAD_LETTERS, ForwardState
from worker.store.forward_streams import PAGE, ForwardStreams
from worker.store.forward_values import FIELDS, Entry, Stream, WebhookRetry, before, order_of


class Intake:
    """Puts messages into the backlog; for one thread. Its methods raise `redis.RedisError`."""

    def __init__(
        self,
        streams: ForwardStreams,
        names: tuple[Stream, ...],
        state: ForwardState,
        backlog: Backlog,
        settling: Settling,
        clock: Clock,
    ) -> None:
        self._streams = streams
        self._names = names
        self._state = state
        self._backlog = backlog
        self._settling = settling
        self._clock = clock
        self._oldest_left: dict[Stream, str] = {}

    def recover(self) -> None:
        """Take in what was taken before and is not finished, by this process or by one before it."""
        latest_ms = self._clock.now_ms() + LONGEST_GAP_MS
        for retry in self._state.retries():
            # Written by a clock that was ahead, perhaps.
            self._backlog.add(Item(replace(retry, due_ms=min(retry.due_ms, latest_ms)), is_kept=True))
        self._streams.recover(self._backlog.has)

    def positions(self) -> dict[Stream, str]:
        """Of each stream an entry up to which all is finished, or kept as a retry: what is left to a newer
        version is neither, and would be lost with the group."""
        found = self._streams.positions()
        for stream, last in found.items():
            open_ones = (self._backlog.oldest_untried(stream), self._oldest_left.get(stream))
            found[stream] = min([last, *(before(each) for each in open_ones if each)], key=order_of)
        return found

    def more(self, count: int = PAGE) -> bool:
        """Take in the next messages; False where there are none, of the streams or of a replay."""
        page = self._streams.read(count)
        if page.lost:
            self._settling.trimmed(page.lost)
        for entry in page.entries:
            self._add(entry)
        has_replayed = not page.is_full and self._replay(count)
        return has_replayed or bool(page.entries)

    def webhook(self, item: Item) -> Webhook | None:
        """What is to be sent; None, and the item is none any more, where that is not there, or only a later
        version can send it."""
        if item.webhook is None:
            retry = item.retry
            text = retry.text.encode() if retry.text else self._streams.text(retry.stream, retry.entry_id)
            try:
                item.webhook = webhook_of(retry.stream, retry.entry_id, text) if text else None
            except NewerEntry as error:
                # As a retry, of which that version made one before it was replaced by this.
                self._backlog.remove(item)
                self._settling.left(retry.entry_id, str(error))
                return None
            except NotForwardable:
                pass
            if item.webhook is None:
                why = "it was trimmed off the stream before it was taken"
                self._settling.text_lost(item, why, self._clock.now_ms())
        return item.webhook

    def _add(self, entry: Entry) -> None:
        if self._backlog.has(entry.stream, entry.entry_id):
            return
        now_ms = self._clock.now_ms()
        if entry.text is None:
            item = Item(WebhookRetry(entry.stream, entry.entry_id, f"entry {entry.entry_id}"))
            self._backlog.add(item)
            self._settling.text_lost(item, "it was trimmed off the stream before it was sent", now_ms)
            return
        try:
            webhook = webhook_of(entry.stream, entry.entry_id, entry.text)
        except NewerEntry as error:
            self._oldest_left.setdefault(entry.stream, entry.entry_id)  # they come in their order
            self._settling.left(entry.entry_id, str(error))
            return
        except NotForwardable as error:
            self._settling.not_forwardable(entry, str(error), now_ms)
            return
        retry = WebhookRetry(entry.stream, entry.entry_id, webhook.job)
        self._backlog.add(Item(retry, webhook))

    def _replay(self, count: int) -> bool:
        """Take in the next page of the replay that was asked for; False where none was."""
        asked = self._state.replay()
        if asked is None:
            return False
        take = self._of_failed if asked[1]["stream"] == DEAD_LETTERS else self._of_stream
        found = take(*asked, count)
        for retry in found:
            self._backlog.add(Item(retry, is_kept=True))
        return True

    def _of_stream(self, place: int, replay: dict[str, str], count: int) -> list[WebhookRetry]:
        stream: Stream = "outputs" if replay["stream"] == "outputs" else "results"
        entries = (
            self._streams.range(stream, replay["first"], replay["last"], count)
            if stream in self._names
            else []
        )
        found = []
        for entry in entries:
            if self._backlog.has(stream, entry.entry_id):
                continue  # it is about to be sent anyway
            try:
                webhook = webhook_of(stream, entry.entry_id, entry.text or b"")
            except NotForwardable:
                continue
            found.append(WebhookRetry(stream, entry.entry_id, webhook.job))
        rest = {**replay, "first": f"({entries[-1].entry_id}"} if len(entries) == count else None
        self._state.replay_taken(place, found, rest)
        return found

    def _of_failed(self, place: int, replay: dict[str, str], count: int) -> list[WebhookRetry]:
        found: list[WebhookRetry] = []
        for entry_id, dead in self._state.failed(last=replay["last"]):
            if len(found) == count:
                break
            # One of another stream is a later version's.
            if dead["stream"] not in FIELDS or dead["text"] is None or not dead["jobId"]:
                continue
            if not _between(dead["entry"], replay):
                continue
            retry = WebhookRetry(dead["stream"], dead["entry"], dead["jobId"], text=dead["text"])
            self._state.forgive(entry_id, retry)
            found.append(retry)
        self._state.replay_taken(place, [], replay if len(found) == count else None)
        return found


def _between(entry_id: str, replay: dict[str, str]) -> bool:
    return order_of(replay["since"]) <= order_of(entry_id) <= order_of(replay["until"])
