"""What an outgoing webhook and its integrations are given: the credential; there are no options but the shared ones."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, SecretStr, field_validator
from pydantic.alias_generators import to_camel

from tollbridge.domain.integrations import Options


class WebhookCredential(BaseModel):
    """API key and secret with which messages are signed; after a change the secret before it, for a while."""

    model_config = ConfigDict(
        alias_generator=to_camel, populate_by_name=True, extra="forbid", frozen=True, hide_input_in_errors=True
    )

    api_key: Annotated[str, Field(min_length=1, max_length=1000, description="Sent with each message as it is.")]
    secret: Annotated[SecretStr, Field(min_length=1, max_length=1000, description="Signs each message; never sent.")]
    previous_secret: Annotated[SecretStr | None, Field(description="Signs too, until the moment below.")] = None
    previous_until: Annotated[datetime | None, Field(description="Until when the previous secret signs.")] = None

    @field_validator("api_key")
    @classmethod
    def _fits_a_header(cls, key: str) -> str:
        if not all(" " <= character <= "~" for character in key) or key != key.strip():
            raise ValueError("must be visible ASCII characters without white space at its ends, as it is a header")
        return key


class WebhookOptions(Options):
    """An integration of a rule with a webhook has the options of all integrations, and none besides."""
