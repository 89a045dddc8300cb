"""OAuth 2 authorization codes with PKCE (RFC 6749 §4.1, RFC 7636): what a vendor declares, what is kept of its tokens,
what is asked of its token endpoint and what its answers mean. Pure."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from tollbridge.domain import known_errors
from tollbridge.domain.choices import Thing
from tollbridge.domain.errors import Fault
from tollbridge.domain.flows import Flow, NoReply, Reply, Request

GRANT = "oauth"
"""The name under which the grant lies among the sealed fields of a credential; no connector's field has it."""
TENANT = "tenantId"
"""The name under which the tenant that was chosen is kept beside the token."""
MARGIN = timedelta(minutes=1)
"""A token is refreshed so long before it expires, or a quarter of its lifetime where that is shorter."""

LONGEST = timedelta(days=36_500)
"""A lifetime that is longer is told to be this."""
FINAL = (known_errors.OAUTH_GRANT_REFUSED.code, known_errors.OAUTH_NO_REFRESH_TOKEN.code)
"""Codes of what no repetition changes: another consent is needed."""
_REFUSALS = {
    "invalid_grant": known_errors.OAUTH_GRANT_REFUSED,
    **dict.fromkeys(
        ("invalid_client", "unauthorized_client", "unsupported_grant_type", "invalid_scope", "invalid_request"),
        known_errors.OAUTH_CLIENT_REFUSED,
    ),
}
"""By the errors of RFC 6749 §5.2."""


@dataclass(frozen=True, slots=True)
class OAuth:
    """How a vendor's people let us in.

    `client` reads client id and secret from the credential; they go to the token endpoint as HTTP Basic, or in the form
    where `basic` is false. `extra` are more parameters of the redirect; `callback` names values of the callback, and
    `reply` fields of the token reply, that are kept beside the token, such as QuickBooks' realmId.
    Where one consent may open several tenants, `tenants` is a flow that reads them with the new token and returns
    `Found`; their ids are those that
    `check` answers, and its steps have other keys. The one that was chosen is kept beside the token as `TENANT`.
    `refresh_lifetime` is how long a refresh token lives where the reply's field `refresh_expires_in` does not say it.
    """

    authorize_url: str
    token_url: str
    scopes: tuple[str, ...]
    client: Callable[[Any], tuple[str, str]]
    basic: bool = True
    extra: tuple[tuple[str, str], ...] = ()
    callback: tuple[str, ...] = ()
    reply: tuple[str, ...] = ()
    tenants: Callable[[], Flow] | None = None
    refresh_lifetime: timedelta | None = None
    refresh_expires_in: str = "refresh_token_expires_in"


@dataclass(frozen=True, slots=True)
class Token:
    """An access token and what was kept beside it."""

    access: str = field(repr=False)
    extra: Mapping[str, str] = field(default_factory=dict)


def address(url: str, stand_in: str | None) -> str:
    """The URL, at a stand-in where the system has one: its path stays."""
    return stand_in.rstrip("/") + urlsplit(url).path if stand_in else url


def challenge(verifier: str) -> str:
    """The S256 challenge of a verifier."""
    return base64.urlsafe_b64encode(hashlib.sha256(verifier.encode()).digest()).decode().rstrip("=")


def authorize_url(oauth: OAuth, url: str, client_id: str, redirect_uri: str, state: str, verifier: str) -> str:
    """Where a person's browser is sent."""
    asked = {
        "response_type": "code",
        "client_id": client_id,
        "redirect_uri": redirect_uri,
        "scope": " ".join(oauth.scopes),
        "state": state,
        "code_challenge": challenge(verifier),
        "code_challenge_method": "S256",
        **dict(oauth.extra),
    }
    return f"{url}{'&' if '?' in url else '?'}{urlencode(asked)}"


def code_grant(code: str, verifier: str, redirect_uri: str, extra: Mapping[str, str]) -> dict[str, Any]:
    """What is kept until a code is redeemed."""
    return {"code": code, "verifier": verifier, "redirectUri": redirect_uri, "extra": dict(extra)}


def refused_grant(fault: Fault) -> dict[str, Any]:
    """What is kept of a grant that the vendor will never honour again."""
    return {"refused": fault.message}


def refusal_of(grant: Mapping[str, Any] | None) -> Fault | None:
    """Why there is no token to be had, where that is known without asking."""
    if grant is None:
        return known_errors.OAUTH_NOT_CONNECTED.fault("Nobody has connected the credential yet.")
    if "refused" in grant:
        return known_errors.OAUTH_GRANT_REFUSED.fault(grant["refused"])
    if "code" not in grant and not grant.get("refreshToken") and "accessToken" not in grant:
        return known_errors.OAUTH_NO_REFRESH_TOKEN.fault("There is no refresh token.")
    return None


def tenant_of(grant: Mapping[str, Any] | None) -> str | None:
    """The tenant that was chosen."""
    found: str | None = (grant or {}).get("extra", {}).get(TENANT)
    return found


def with_tenant(grant: Mapping[str, Any], id: str) -> dict[str, Any]:
    """The grant, whose requests are for that tenant."""
    return {**grant, "extra": {**grant.get("extra", {}), TENANT: id}}


def only_tenant(tenants: Sequence[Thing], known: str | None) -> Thing | None:
    """The tenant that needs no choice: the one that the credential opened before, or the only one; None where a person
    must choose. A credential that opened another one before is refused by its check, whichever is taken."""
    same = [each for each in tenants if each.id == known]
    if same or known or len(tenants) == 1:
        return (same or list(tenants))[0]
    return None


def usable(grant: Mapping[str, Any], now: datetime) -> Token | None:
    """The access token of the grant, where it need not be refreshed yet."""
    until = refresh_at(grant)
    if "accessToken" not in grant or (until is not None and until <= now):
        return None
    return Token(grant["accessToken"], grant["extra"])


def refresh_at(grant: Mapping[str, Any]) -> datetime | None:
    """From when on its access token is to be refreshed; None where the vendor does not say how long it lives."""
    return _moment(grant.get("refreshAt"))


def token_request(oauth: OAuth, grant: Mapping[str, Any], client: tuple[str, str]) -> Request | Fault:
    """The request that redeems the code, or the refresh token, of the grant."""
    if "code" in grant:
        form = [
            ("grant_type", "authorization_code"),
            ("code", grant["code"]),
            ("redirect_uri", grant["redirectUri"]),
            ("code_verifier", grant["verifier"]),
        ]
    elif grant.get("refreshToken"):
        form = [("grant_type", "refresh_token"), ("refresh_token", grant["refreshToken"])]
    else:
        return known_errors.OAUTH_NO_REFRESH_TOKEN.fault("The access token has expired, and there is no refresh token.")
    headers = [("Accept", "application/json")]
    if oauth.basic:
        # RFC 6749 §2.3.1: both are encoded as in a form before they are joined.
        pair = ":".join(quote(part, safe="") for part in client)
        headers.append(("Authorization", f"Basic {base64.b64encode(pair.encode()).decode()}"))
    else:
        form += [("client_id", client[0]), ("client_secret", client[1])]
    return Request("POST", "", form=tuple(form), headers=tuple(headers))


def read_reply(
    oauth: OAuth, title: str, grant: Mapping[str, Any], answer: Reply | NoReply, sent_at: datetime
) -> tuple[dict[str, Any], datetime | None] | Fault:
    """The new grant and when its refresh token expires (None: not known), or what went wrong.

    Final is only what the vendor says of the grant, `FINAL`; what it says of the client can be mended without another
    consent (RFC 6749 §5.2), and anything else may pass.
    """
    if isinstance(answer, NoReply):
        return known_errors.OAUTH_UNAVAILABLE.fault(
            f"{title} gave no answer to the request for a token: {answer.reason}"
        )
    body = answer.json if isinstance(answer.json, dict) else {}
    if answer.status in (400, 401, 403) and isinstance(body.get("error"), str):
        words = f"{body['error']}: {body.get('error_description') or ''}".rstrip(": ")
        entry = _REFUSALS.get(body["error"], known_errors.OAUTH_UNAVAILABLE)
        return entry.fault(f"{title} gives no token: {words[:300]}.")
    if not answer.ok or not isinstance(body.get("access_token"), str):
        return known_errors.OAUTH_UNAVAILABLE.fault(
            f"{title} answered the request for a token with status {answer.status}."
        )
    renewed = body.get("refresh_token") or grant.get("refreshToken")
    lifetime, known = _seconds(body.get("expires_in")), _seconds(body.get(oauth.refresh_expires_in))
    expires_at = _moment(grant.get("refreshExpiresAt"))
    if known is not None:
        expires_at = sent_at + known
    elif renewed != grant.get("refreshToken"):
        expires_at = sent_at + oauth.refresh_lifetime if oauth.refresh_lifetime else None
    kept = {name: str(body[name]) for name in oauth.reply if body.get(name) is not None}
    new = {
        "accessToken": body["access_token"],
        "refreshToken": renewed,
        "refreshAt": (sent_at + lifetime - min(MARGIN, lifetime / 4)).isoformat() if lifetime is not None else None,
        "refreshExpiresAt": expires_at.isoformat() if expires_at else None,
        "extra": {**grant.get("extra", {}), **kept},
    }
    return new, expires_at


def _seconds(value: Any) -> timedelta | None:
    try:
        return timedelta(seconds=min(float(value), LONGEST.total_seconds())) if value is not None else None
    except (ValueError, TypeError, OverflowError):
        return None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
