"""The access line that nginx writes as JSON: keys are nginx variable names without `$`."""

from typing import Annotated

from msgspec import Meta, Struct

Whole = Annotated[int, Meta(ge=-(2**63), le=2**63 - 1)]
"""A whole number that fits 64 bits."""


class MeasuredLine(Struct, kw_only=True, gc=False):
    """The keys that live metrics need. Unknown keys are ignored, None is a key that is absent."""

    msec: float | None = None
    """End of the request in seconds since 1970; or one of the two below."""
    time_iso8601: str | None = None
    time_local: str | None = None
    hostname: str | None = None
    """Name of the server; or `server`."""
    server: str | None = None
    remote_addr: str | None = None
    status: Whole | None = None
    body_bytes_sent: Whole | None = None
    request_time: float | None = None
    """Seconds."""


class AccessLine(MeasuredLine, kw_only=True, gc=False):
    """All keys. A number may be quoted, a text may not be a number."""

    request_id: str | None = None
    request_method: str | None = None
    """With `request_uri` and `server_protocol`; or `request` for all three."""
    request_uri: str | None = None
    server_protocol: str | None = None
    request: str | None = None
    upstream_response_time: str | None = None
    """Seconds of each try: `0.1`, `0.1, 0.2`, `0.1 : 0.2` or `-`."""
    http_referer: str | None = None
    http_user_agent: str | None = None
    http_host: str | None = None
    scheme: str | None = None
    request_length: Whole | None = None
