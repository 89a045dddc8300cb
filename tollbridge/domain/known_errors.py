"""The catalogue of errors: each that a run can end with, where it comes from, who can mend it and how.

A fault is made from its entry, so nothing is raised that does not stand here or in the table of a connector; the docs
are written from both. What a vendor alone knows stands with its connector.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from tollbridge.domain.errors import Fault, FaultKind
from tollbridge.domain.flows import Silence


class Mender(StrEnum):
    """Who can mend an error."""

    NOBODY = "nobody needs to: it goes on by itself"
    BILLING = "who makes the bills"
    BOOKS = "who keeps the books in the other system"
    INTEGRATION = "who looks after the integration"
    OTHER_SIDE = "who runs the other side"
    OPERATOR = "who runs Tollbridge"
    MAKERS = "who develops Tollbridge"


@dataclass(frozen=True, slots=True)
class KnownError:
    """One entry. `cause` and `remedy` are sentences; the remedy is the hint of a fault that has no closer one."""

    code: str
    kind: FaultKind
    cause: str
    mender: Mender
    remedy: str

    @property
    def anchor(self) -> str:
        """The place in the docs: `docs/reference/errors.md#…`."""
        return anchor_of(self.code)

    def fault(
        self,
        message: str,
        hint: str | None = None,
        *,
        retry_after: timedelta | None = None,
        missing: tuple[str, str, str, str] | None = None,
    ) -> Fault:
        """The fault; `message` says what happened to what, `hint` the way out where it is closer than the remedy."""
        return Fault(self.kind, self.code, message, hint or self.remedy, retry_after, missing)


def anchor_of(code: str) -> str:
    """The place of a code in the docs, as Markdown's headings are found."""
    return code.replace(".", "").lower()


NO_CONNECTOR = KnownError(
    "engine.no_connector",
    FaultKind.INVALID,
    "The run is for a system whose connector is not installed where this worker runs.",
    Mender.OPERATOR,
    "Install the package that has the connector with every worker, then replay the run.",
)
OUTCOME_UNKNOWN = KnownError(
    "engine.outcome_unknown",
    FaultKind.INVALID,
    "A write was sent, its reply never came, and the other side cannot be asked whether it took effect.",
    Mender.BOOKS,
    "Look there whether it took effect; replay the run only where it did not.",
)
BLOCKED = KnownError(
    "engine.blocked",
    FaultKind.RATE_LIMITED,
    "The other side asked all users of the credential to wait, and the wait is not over.",
    Mender.NOBODY,
    "Nothing to do: the run goes on by itself.",
)
BUG = KnownError(
    "tollbridge.bug",
    FaultKind.INVALID,
    "Tollbridge or a connector met an error of its own; the incident id stands in the message and in the server's log.",
    Mender.MAKERS,
    "Report it with the traceback from the run log; replay the run after an upgrade that repairs it.",
)
TOO_LONG = KnownError(
    "run.too_long",
    FaultKind.TOO_LONG,
    "The run has worked for as long as one may (TOLLBRIDGE_RUN_TIMEOUT) without coming to an end.",
    Mender.OPERATOR,
    "See in its steps where the time went, then replay it.",
)
NEEDS_CHOICE = KnownError(
    "run.needs_choice",
    FaultKind.INVALID,
    "The bill changed or was deleted after a final document was made of it, and nobody chose what to do about that.",
    Mender.BOOKS,
    "Go to the run and choose; or set onChange of the integration, so that it is not asked again.",
)
CREDENTIAL_UNUSABLE = KnownError(
    "credential.unusable",
    FaultKind.UNAUTHORIZED,
    "The stored credential lacks a field that its system needs, or holds one that does not fit.",
    Mender.INTEGRATION,
    "Enter the credential again.",
)
OTHER_TENANT = KnownError(
    "credential.other_tenant",
    FaultKind.INVALID,
    "The new secret works, but opens another account of the vendor than the credential did until now.",
    Mender.INTEGRATION,
    "Enter a secret of the same tenant, or make another credential for the other one.",
)
_RECONNECT = "Connect the credential again: nothing needs to be entered, and what is held for it is then sent."
OAUTH_NOT_CONNECTED = KnownError(
    "oauth.not_connected",
    FaultKind.UNAUTHORIZED,
    "The credential is one that a person connects at the vendor's, and nobody has done so yet.",
    Mender.INTEGRATION,
    _RECONNECT,
)
OAUTH_NO_REFRESH_TOKEN = KnownError(
    "oauth.no_refresh_token",
    FaultKind.UNAUTHORIZED,
    "The access token is over, and the vendor gave no refresh token with which to get another.",
    Mender.INTEGRATION,
    _RECONNECT,
)
OAUTH_GRANT_REFUSED = KnownError(
    "oauth.grant_refused",
    FaultKind.UNAUTHORIZED,
    "The vendor does not honour the grant any more: it was withdrawn, it ended, or its refresh token was used before.",
    Mender.INTEGRATION,
    _RECONNECT,
)
OAUTH_CLIENT_REFUSED = KnownError(
    "oauth.client_refused",
    FaultKind.UNAUTHORIZED,
    "The vendor refuses the client id or secret with which tokens are asked for, or the request for one as such.",
    Mender.INTEGRATION,
    "Correct the fields of the credential and connect it again.",
)
OAUTH_DELETED = KnownError(
    "oauth.deleted",
    FaultKind.UNAUTHORIZED,
    "The credential was deleted while its token was being renewed.",
    Mender.INTEGRATION,
    "Give the integration another credential.",
)
OAUTH_NO_TENANT = KnownError(
    "oauth.no_tenant",
    FaultKind.INVALID,
    "The person consented, but to nothing that the vendor would let Tollbridge into.",
    Mender.INTEGRATION,
    "Connect the credential again and choose a company there.",
)
OAUTH_UNAVAILABLE = KnownError(
    "oauth.unavailable",
    FaultKind.UNAVAILABLE,
    "The vendor's token endpoint did not answer, or not as it should.",
    Mender.NOBODY,
    "Nothing to do: the run is tried again.",
)
OAUTH_BUSY = KnownError(
    "oauth.busy",
    FaultKind.UNAVAILABLE,
    "Another worker has been renewing the token of the credential for longer than the others wait.",
    Mender.NOBODY,
    "Nothing to do: the run is tried again.",
)
CONFIGURATION_INVALID = KnownError(
    "configuration.invalid",
    FaultKind.INVALID,
    "An option of the integration holds a value that this release does not take any more.",
    Mender.INTEGRATION,
    "Save the integration again with a valid value, then replay the run.",
)
ACCOUNT_FILTER = KnownError(
    "integration.account_filter",
    FaultKind.INVALID,
    "The account filter of the integration cannot be decided for this bill's account.",
    Mender.INTEGRATION,
    "Correct accountFilter of the integration or the field of the account that it reads, then send the bill.",
)
DISABLED = KnownError(
    "integration.disabled",
    FaultKind.DISABLED,
    "So many errors in succession disabled the integration (disableAfter); what it was to send is held.",
    Mender.INTEGRATION,
    "Mend them, then enable it.",
)


def _network(silence: Silence, cause: str, mender: Mender, remedy: str) -> KnownError:
    return KnownError(f"network.{silence}", FaultKind.UNAVAILABLE, cause, mender, remedy)


_LOOKS = "The run is tried again, and looks first whether this attempt took effect."
SILENCES = {
    Silence.UNREACHABLE: _network(
        Silence.UNREACHABLE,
        "Nobody accepts connections at that address, or not in time; nothing was sent.",
        Mender.OTHER_SIDE,
        "The run is tried again. If this goes on, see whether the other side is up and a firewall stands between.",
    ),
    Silence.NAME: _network(
        Silence.NAME,
        "The name of the host has no address in DNS; nothing was sent.",
        Mender.OPERATOR,
        "Correct the URL, or the DNS of the machines with workers; the run is tried again.",
    ),
    Silence.CERTIFICATE: _network(
        Silence.CERTIFICATE,
        "No encrypted connection was made: the certificate is not valid, or the other side speaks no TLS; nothing was "
        "sent.",
        Mender.OTHER_SIDE,
        "Renew the certificate there; name an authority of your own in TOLLBRIDGE_CA_FILE. The run is tried again.",
    ),
    Silence.PROXY: _network(
        Silence.PROXY,
        "The proxy of TOLLBRIDGE_PROXY or TOLLBRIDGE_WEBHOOK_PROXY does not answer or refuses; nothing was sent.",
        Mender.OPERATOR,
        "Correct the setting, or let the proxy pass what goes to this host; the run is tried again.",
    ),
    Silence.FORBIDDEN: _network(
        Silence.FORBIDDEN,
        "The URL leads to an address that webhooks must not reach, such as one of an inner network; nothing was sent.",
        Mender.OPERATOR,
        "Give the webhook another URL, or allow the network in TOLLBRIDGE_ALLOW_NETWORKS.",
    ),
    Silence.TIMEOUT: _network(
        Silence.TIMEOUT,
        "The whole reply did not come within the time that a request has (vendors: TOLLBRIDGE_REQUEST_TIMEOUT; "
        "webhooks: 15 seconds).",
        Mender.OTHER_SIDE,
        _LOOKS,
    ),
    Silence.NO_REPLY: _network(
        Silence.NO_REPLY,
        "The connection was closed before the whole reply came.",
        Mender.OTHER_SIDE,
        _LOOKS,
    ),
    Silence.TOO_LARGE: _network(
        Silence.TOO_LARGE,
        "The reply is longer than is taken (TOLLBRIDGE_LONGEST_REPLY).",
        Mender.OTHER_SIDE,
        _LOOKS + " If this goes on, see what answers in the vendor's place, or raise TOLLBRIDGE_LONGEST_REPLY.",
    ),
    Silence.MALFORMED: _network(
        Silence.MALFORMED,
        "What came back is not HTTP, or not packed as it says.",
        Mender.OTHER_SIDE,
        _LOOKS + " If this goes on, look for what answers in the other side's place.",
    ),
}

COMMON = (
    NO_CONNECTOR,
    OUTCOME_UNKNOWN,
    BLOCKED,
    BUG,
    TOO_LONG,
    NEEDS_CHOICE,
    CREDENTIAL_UNUSABLE,
    OTHER_TENANT,
    OAUTH_NOT_CONNECTED,
    OAUTH_NO_REFRESH_TOKEN,
    OAUTH_GRANT_REFUSED,
    OAUTH_CLIENT_REFUSED,
    OAUTH_DELETED,
    OAUTH_UNAVAILABLE,
    OAUTH_BUSY,
    OAUTH_NO_TENANT,
    CONFIGURATION_INVALID,
    ACCOUNT_FILTER,
    DISABLED,
    *SILENCES.values(),
)
"""Every error that is not of one connector alone."""
