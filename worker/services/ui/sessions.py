"""Who has logged in: a signed cookie, and the token that every form of a session has to bring."""

from __future__ import annotations

import hashlib
import secrets
import threading
import time
from typing import Final

from itsdangerous import BadSignature, Signer, URLSafeTimedSerializer

from tasks.frozen import value

LASTS_S: Final = 12 * 3600
"""A session ends so long after it began, whatever is done in it."""

_ENDED_MOST: Final = 10_000


@value(frozen=True, slots=True)
class Session:
    """``who`` is the name given at login; None for whoever has not logged in, or need not."""

    sid: str
    who: str | None


class Sessions:
    """Sessions are in their cookies alone, so they outlive a restart; those that were logged out of are known
    until then. Thread-safe.

    Args:
        token: that is asked for: who changes it ends all sessions. None: a key of this process's own.
    """

    def __init__(self, token: str | None) -> None:
        key = token or secrets.token_urlsafe(32)
        how = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        self._cookies = URLSafeTimedSerializer(key, salt="aigc-ui-session", signer_kwargs=how)
        self._forms = Signer(key, salt="aigc-ui-form", key_derivation="hmac", digest_method=hashlib.sha256)
        self._ended: dict[str, float] = {}
        self._lock = threading.Lock()

    def begin(self, who: str | None = None) -> Session:
        """A new session."""
        return Session(secrets.token_urlsafe(16), who)

    def cookie(self, session: Session) -> str:
        """The value of its cookie, which is good for `LASTS_S`."""
        return str(self._cookies.dumps([session.sid, session.who]))

    def read(self, cookie: str) -> Session | None:
        """The session of a cookie; None where it is forged, too old, logged out of, or of another token."""
        try:
            sid, who = self._cookies.loads(cookie, max_age=LASTS_S)
        except (BadSignature, ValueError, TypeError):
            return None
        with self._lock:
            return None if sid in self._ended else Session(sid, who)

    def end(self, session: Session) -> None:
        """Log out: the cookie is worth nothing any more, wherever there is a copy of it."""
        now = time.monotonic()
        with self._lock:
            # In the order in which they ended: the first is the oldest.
            while self._ended and (
                len(self._ended) >= _ENDED_MOST or now - next(iter(self._ended.values())) > LASTS_S
            ):
                del self._ended[next(iter(self._ended))]
            self._ended[session.sid] = now

    def form_token(self, session: Session) -> str:
        """What a form of this session has to bring."""
        return self._forms.get_signature(session.sid).decode()

    def has_form_token(self, session: Session, given: str) -> bool:
        """Whether this is it; compared in constant time."""
        return self._forms.verify_signature(session.sid.encode(), given.encode("utf-8", "replace"))
