"""A form as it is posted: read within bounds, and refused where another site may have sent it."""

from __future__ import annotations

from typing import Final
from urllib.parse import parse_qsl, urlsplit

from starlette.datastructures import Headers, ImmutableMultiDict
from starlette.requests import ClientDisconnect, Request

from tasks.exceptions import AigcError
from worker.services.ui.sessions import Session, Sessions

BODY_MOST: Final = 256 * 1024
FIELDS_MOST: Final = 400
TOKEN_FIELD: Final = "form_token"


Form = ImmutableMultiDict[str, str]


class BadForm(AigcError):
    """A form that cannot be taken: ``status`` is what it is answered with, the text says why."""

    def __init__(self, status: int, why: str) -> None:
        super().__init__(why)
        self.status = status


async def posted(request: Request, sessions: Sessions) -> tuple[Session, Form]:
    """The session and the fields of a form that was posted by one of our own pages.

    Raises:
        BadForm: it is too large, no form, or none of this session's.
    """
    session = request.scope["aigc_session"]
    if why := of_another_site(request.headers):
        raise BadForm(403, why)
    form = await _read(request)
    given = form.get(TOKEN_FIELD)
    if session is None or given is None or not sessions.has_form_token(session, given):
        raise BadForm(403, "The form is of another session, or of one that has ended: load the page again.")
    return session, form


def of_another_site(headers: Headers) -> str:
    """Why a POST cannot be one of our own pages'; empty where nothing speaks against it. Pure."""
    # Browsers tell this only of HTTPS and of this machine; it holds whatever names a proxy gives us.
    if (site := headers.get("sec-fetch-site")) is not None:
        return "" if site == "same-origin" else f"The form comes from elsewhere (Sec-Fetch-Site: {site})."
    origin = headers.get("origin")
    if origin is None or urlsplit(origin).netloc.lower() == headers.get("host", "").lower():
        return ""
    return (
        "The form comes from another origin than this page has here: a proxy before it has to pass the Host"
        " header on."
    )


async def _read(request: Request) -> Form:
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind != "application/x-www-form-urlencoded":
        raise BadForm(415, "A form has to be sent as application/x-www-form-urlencoded.")
    body = bytearray()
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > BODY_MOST:
                raise BadForm(413, f"A form must be at most {BODY_MOST:,} bytes.")
    except ClientDisconnect:
        raise BadForm(400, "The form did not come whole.") from None
    try:
        fields = parse_qsl(
            body.decode("ascii"), keep_blank_values=True, errors="strict", max_num_fields=FIELDS_MOST
        )
    except ValueError:
        raise BadForm(400, f"A form must be UTF-8, of at most {FIELDS_MOST} fields.") from None
    return Form(fields)
