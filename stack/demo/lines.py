"""Log lines as the nginx of this stack writes them, for requests that were never sent."""

from datetime import UTC, datetime
from functools import lru_cache
from json.encoder import encode_basestring_ascii
from typing import Final
from zoneinfo import ZoneInfo

from stack.demo.shop import FORBIDDEN, MISSING, RETIRED, UNAUTHORIZED, Answer
from stack.demo.visitors import Ask

SITE: Final = "/srv/shop"
_UPSTREAM: Final = "http://127.0.0.1:18000"
_RETIRED: Final = "http://127.0.0.1:1"

_text = lru_cache(maxsize=512)(encode_basestring_ascii)


def access_line(server: str, ask: Ask, answer: Answer, request_id: int) -> str:
    """JSON access line of the format in nginx.conf.j2, written when the answer was sent."""
    referer = f"https://shop.example{ask.referer}" if ask.referer else ""
    upstream = "" if answer.upstream_s is None else f"{answer.upstream_s:.3f}"
    length = 96 + len(ask.path) + len(referer) + len(ask.agent)
    return (
        f'{{"msec":{ask.at + answer.seconds:.3f},"request_id":"{request_id:032x}",'
        f'"hostname":"{server}","remote_addr":"{ask.client}","request_method":"{ask.method}",'
        f'"request_uri":{encode_basestring_ascii(ask.path)},"server_protocol":"HTTP/1.1",'
        f'"status":{answer.status},"body_bytes_sent":{answer.size},'
        f'"request_time":{answer.seconds:.3f},"upstream_response_time":"{upstream}",'
        f'"http_referer":{encode_basestring_ascii(referer)},"http_user_agent":{_text(ask.agent)},'
        f'"http_host":"{server}","scheme":"http","request_length":{length}}}'
    )


def error_line(
    server: str, ask: Ask, answer: Answer, connection: int, zone: ZoneInfo | None = None
) -> str | None:
    """Error-log line that nginx writes beside the access line, or None."""
    found = _message(ask, answer)
    if found is None:
        return None
    severity, message, upstream = found
    at = datetime.fromtimestamp(ask.at + answer.seconds, zone or UTC)
    passed = f', upstream: "{upstream}{ask.path}"' if upstream else ""
    referer = f', referrer: "https://shop.example{ask.referer}"' if ask.referer else ""
    return (
        f"{at:%Y/%m/%d %H:%M:%S} [{severity}] 812#812: *{connection} {message}, "
        f'client: {ask.client}, server: {server}, request: "{ask.method} {ask.path} HTTP/1.1"'
        f'{passed}, host: "{server}"{referer}'
    )


def _message(ask: Ask, answer: Answer) -> tuple[str, str, str] | None:
    route = answer.route
    if route is MISSING:
        path = ask.path.partition("?")[0]
        return "error", f'open() "{SITE}{path}" failed (2: No such file or directory)', ""
    if route is FORBIDDEN:
        return "error", "access forbidden by rule", ""
    if route is UNAUTHORIZED:
        return "info", "no user/password was provided for basic authentication", ""
    if route is RETIRED:
        reason = "connect() failed (111: Connection refused) while connecting to upstream"
        return "error", reason, _RETIRED
    if answer.status == 504:
        reason = "upstream timed out (110: Connection timed out) while reading response header"
        return "error", f"{reason} from upstream", _UPSTREAM
    if answer.status == 499 and answer.upstream_s is not None:
        reason = "epoll_wait() reported that client prematurely closed connection, so upstream"
        return (
            "info",
            f"{reason} connection is closed too while sending request to upstream",
            (_UPSTREAM),
        )
    return None
