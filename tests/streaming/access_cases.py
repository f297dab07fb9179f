"""Access lines and what becomes of them: (id, line, expected columns or the reason)."""

import json
from datetime import UTC, datetime
from typing import Any

NOW = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
MSEC = NOW.timestamp() - 10
NGINX = {
    "msec": MSEC,
    "request_id": "cfcd208495d565ef66e7dff9f98764da",
    "hostname": "forged-by-config",
    "remote_addr": "203.0.113.9",
    "request_method": "GET",
    "request_uri": "/users/42?page=2",
    "server_protocol": "HTTP/1.1",
    "status": 200,
    "body_bytes_sent": 512,
    "request_time": 0.125,
    "upstream_response_time": "0.100",
    "http_referer": "",
    "http_user_agent": "curl/8",
    "http_host": "shop.example",
    "scheme": "https",
    "request_length": 77,
}


def nginx(**changes: Any) -> bytes:
    """One line as nginx writes it, with some keys changed; None leaves a key out."""
    pairs = {key: value for key, value in {**NGINX, **changes}.items() if value is not None}
    return json.dumps(pairs, separators=(",", ":"), ensure_ascii=False).encode()


def text(request: str, rest: str = '200 5 "-" "curl/8"', head: str = "203.0.113.9 - -") -> bytes:
    """One `combined` line."""
    return f'{head} [23/Nov/2026:11:59:50 +0000] "{request}" {rest}'.encode()


PATH, AGENT, STATUS = "url_path", "user_agent_original", "http_response_status_code"
METHOD, CLIENT, TIME = "http_request_method", "client_address", "event_time"
VERSION, HOST, QUERY = "network_protocol_version", "http_request_host", "url_query"
UPSTREAM, SERVER = "upstream_response_duration", "server_address"
SECOND = datetime(2026, 11, 23, 11, 59, 50)

FORMATS: list[tuple[str, bytes, Any]] = [
    (
        "nginx_json",
        nginx(),
        {
            "event_id": NGINX["request_id"],
            TIME: SECOND,
            "event_date": SECOND.date(),
            SERVER: "web1",
            CLIENT: "203.0.113.9",
            METHOD: "GET",
            "url_scheme": "https",
            HOST: "shop.example",
            PATH: "/users/42",
            QUERY: "page=2",
            "http_route": "/users/{id}",
            VERSION: "1.1",
            STATUS: 200,
            "http_response_body_size": 512,
            "http_request_size": 77,
            "http_server_request_duration": 0.125,
            UPSTREAM: 0.1,
            "http_request_referrer": None,
            AGENT: "curl/8",
            "request_id": NGINX["request_id"],
        },
    ),
    ("numbers_quoted", nginx(msec=str(MSEC), status="404", request_time="0.5"), {STATUS: 404}),
    ("milliseconds_kept", nginx(msec=1795435190.123), {TIME: SECOND.replace(microsecond=123000)}),
    ("unknown_keys", nginx(ssl_protocol="TLSv1.3", nested={"status": 500}), {STATUS: 200}),
    ("time_iso8601", nginx(msec=None, time_iso8601="2026-11-23T13:59:50+02:00"), {TIME: SECOND}),
    ("time_local", nginx(msec=None, time_local="23/Nov/2026:08:29:50 -0330"), {TIME: SECOND}),
    (
        "request_key",
        nginx(request_method=None, request_uri=None, server_protocol=None)[:-1]
        + b',"request":"POST /a?b HTTP/2.0"}',
        {METHOD: "POST", PATH: "/a", QUERY: "b", VERSION: "2"},
    ),
    ("http2", nginx(server_protocol="HTTP/2.0"), {VERSION: "2"}),
    ("http3", nginx(server_protocol="HTTP/3.0"), {VERSION: "3"}),
    ("ipv6", nginx(remote_addr="2001:db8::1"), {CLIENT: "2001:db8::1"}),
    ("unix_socket_client", nginx(remote_addr="unix:"), {CLIENT: "unix:"}),
    ("upstream_none", nginx(upstream_response_time="-"), {UPSTREAM: None}),
    ("upstream_empty", nginx(upstream_response_time=""), {UPSTREAM: None}),
    ("upstream_retry", nginx(upstream_response_time="0.5, 0.25"), {UPSTREAM: 0.75}),
    ("upstream_redirect", nginx(upstream_response_time="0.5, - : 0.25"), {UPSTREAM: 0.75}),
    ("request_id_not_hex", nginx(request_id="x" * 32), {"request_id": "x" * 32}),
    ("carriage_return", nginx() + b"\r", {STATUS: 200}),
    ("empty_query", nginx(request_uri="/a?"), {PATH: "/a", QUERY: None}),
    ("percent_untouched", nginx(request_uri="/a%2Fb%00%zz"), {PATH: "/a%2Fb%00%zz"}),
    (
        "combined",
        text("GET /a?b=c HTTP/1.1", '304 0 "http://r/" "Mozilla/5.0 (X)"'),
        {
            TIME: SECOND,
            CLIENT: "203.0.113.9",
            METHOD: "GET",
            PATH: "/a",
            QUERY: "b=c",
            STATUS: 304,
            "http_response_body_size": 0,
            "http_request_referrer": "http://r/",
            AGENT: "Mozilla/5.0 (X)",
            "http_server_request_duration": None,
            SERVER: "web1",
        },
    ),
    ("common", text("GET / HTTP/1.0", "200 -"), {STATUS: 200, AGENT: None, PATH: "/"}),
    ("common_carriage_return", text("GET / HTTP/1.0", "200 7\r"), {STATUS: 200}),
    ("forwarded_for_appended", text("GET / HTTP/1.1", '200 5 "-" "a" "10.0.0.1"'), {AGENT: "a"}),
    (
        "virtual_host",
        text("GET / HTTP/1.1", head="shop.example:80 2001:db8::2 - -"),
        {HOST: "shop.example:80", CLIENT: "2001:db8::2"},
    ),
    ("user", text("GET / HTTP/1.1", head="203.0.113.9 - ann"), {CLIENT: "203.0.113.9"}),
    ("no_ident", text("GET / HTTP/1.1", head="203.0.113.9 -"), {CLIENT: "203.0.113.9"}),
    ("apache_host_name", text("GET / HTTP/1.1", head="pc.example id ann"), {CLIENT: "pc.example"}),
    ("agent_cut_off", text("GET / HTTP/1.1", '200 5 "-" "Mozil'), {AGENT: "Mozil"}),
    ("absolute_uri", text("GET http://evil/x?y HTTP/1.1"), {PATH: "/x", QUERY: "y"}),
    ("http_0_9", text("GET /old"), {METHOD: "GET", PATH: "/old", VERSION: None}),
]

HOSTILE: list[tuple[str, bytes, Any]] = [
    ("tls_on_http_port", text(r"\x16\x03\x01\x02", "400 157"), {PATH: r"\x16\x03\x01\x02"}),
    ("one_word", text("HELP", "400 157"), {METHOD: None, PATH: "HELP", STATUS: 400}),
    ("no_request", text("-", "408 0"), {METHOD: None, PATH: None, STATUS: 408}),
    ("empty_request", text("", "400 0"), {METHOD: None, PATH: None, STATUS: 400}),
    ("lower_case_method", text("get / HTTP/1.1", "400 0"), {METHOD: None, PATH: "get / HTTP/1.1"}),
    ("json_malformed", nginx(request_method="", request_uri="", status=400), {METHOD: None}),
    ("space_in_uri", text("GET /a b HTTP/1.1"), {PATH: "/a b", METHOD: "GET"}),
    ("status_000", nginx().replace(b'"status":200', b'"status":000'), {STATUS: 0}),
    ("status_009", nginx().replace(b'"status":200', b'"status":009'), {STATUS: 9}),
    ("status_999", nginx(status=999), {STATUS: 999}),
    ("escapes_of_default", nginx().replace(b"curl/8", rb"a\x22b\x5C"), {AGENT: "ax22bx5C"}),
    ("quote_escaped_nginx", text("GET / HTTP/1.1", r'200 5 "-" "a\x22 500"'), {STATUS: 200}),
    ("quote_escaped_apache", text(r"GET /\" 500 9 \" HTTP/1.1"), {PATH: r"/\x22 500 9 \x22"}),
    ("backslash_at_the_end", text("GET /" + "\\" * 2 + " HTTP/1.1", "404 5"), {STATUS: 404}),
    ("raw_quote_in_request", text('GET /a"b HTTP/1.1', "404 5"), {STATUS: 404, PATH: '/a"b'}),
    ("raw_quote_in_agent", text("GET / HTTP/1.1", '200 5 "-" "a" 500 9 "b"'), {STATUS: 200}),
    (
        "forged_time_in_user",
        text("GET / HTTP/1.1", head="203.0.113.9 - x [01/Jan/1970:00:00:00 +0000]"),
        {TIME: SECOND, CLIENT: "203.0.113.9"},
    ),
    ("forged_host_in_user", text("GET / HTTP/1.1", head="203.0.113.9 - 6.6.6.6 - -"), {HOST: None}),
    ("json_in_agent", nginx(http_user_agent='{"status":500}","status":500'), {STATUS: 200}),
    ("json_in_text", text("GET / HTTP/1.1", '200 5 "-" "{}"'), {AGENT: "{}"}),
    ("duplicate_keys", nginx()[:-1] + b',"status":404}', {STATUS: 404}),
    ("escape_sequence", nginx(http_user_agent="\x1b]0;title\x07x"), {AGENT: "]0;titlex"}),
    ("newline_in_agent", nginx(http_user_agent="a\nadmin v=1 \r\t"), {AGENT: "aadmin v=1 "}),
    ("bidi_in_path", nginx(request_uri="/a\u202egpj.exe\u2069"), {PATH: "/agpj.exe"}),
    ("c1_in_referrer", nginx(http_referer="x\x85\x9by"), {"http_request_referrer": "xy"}),
    ("nul", nginx(request_uri="/a\x00b"), {PATH: "/ab"}),
    ("raw_control", nginx().replace(b"curl", b"cu\x01rl"), {AGENT: "curl/8"}),
    ("tab_in_text", text("GET /a\tb HTTP/1.1"), {PATH: "/ab"}),
    ("delete_in_host", nginx(http_host="a\x7fb"), {HOST: "ab"}),
    ("bad_utf8_in_json", nginx().replace(b"curl", b"\xff\xc3"), {AGENT: "\ufffd\ufffd/8"}),
    ("bad_utf8_in_text", text("GET / HTTP/1.1").replace(b"curl", b"\xff"), {AGENT: "\ufffd/8"}),
    ("surrogate_bytes", nginx().replace(b"curl", b"\xed\xa0\x80"), {STATUS: 200}),
    ("lone_surrogate_escape", nginx().replace(b"curl", rb"\ud800"), {STATUS: 200}),
    ("long_uri", nginx(request_uri="/" + "a" * 8000), {PATH: "/" + "a" * 2047}),
    ("long_agent", nginx(http_user_agent="b" * 9000), {AGENT: "b" * 1024}),
    ("long_method", text("A" * 9000 + " / HTTP/1.1", "400 0"), {METHOD: None}),
    ("many_backslashes", text("GET /" + r"\x16" * 9000 + " HTTP/1.1"), {STATUS: 200}),
    ("wrong_type_of_size", nginx(body_bytes_sent={"a": 1}), {"http_response_body_size": None}),
    ("negative_size", nginx(body_bytes_sent=-5), {"http_response_body_size": None}),
    ("huge_size", nginx(body_bytes_sent=10**30), {"http_response_body_size": None}),
    ("nan_duration", nginx(request_time="NaN"), {"http_server_request_duration": None}),
    ("infinite_duration", nginx(request_time="Infinity"), {"http_server_request_duration": None}),
    ("negative_duration", nginx(request_time=-1), {"http_server_request_duration": None}),
    ("array_for_agent", nginx(http_user_agent=["a"]), {STATUS: 200}),
    ("just_in_time", nginx(msec=NOW.timestamp() + 60), {STATUS: 200}),
    ("empty", b"", "empty"),
    ("blanks", b"   ", "empty"),
    ("truncated_json", nginx()[:-40], "invalid_json"),
    ("not_json", b"{]", "invalid_json"),
    ("deep_nesting", b'{"a":' * 5000 + b"1" + b"}" * 5000, "invalid_json"),
    ("empty_object", b"{}", "missing_field"),
    ("other_object", b'{"level":"info","msg":"hello"}', "missing_field"),
    ("array", b"[1,2]", "unknown_format"),
    ("number", b"200", "unknown_format"),
    ("error_line", b"2026/11/23 11:59:50 [error] 7#7: *1 x, client: 6.6.6.6", "unknown_format"),
    ("quotes_only", b'"' * 500, "unknown_format"),
    ("binary", bytes(range(256)), "invalid_utf8"),
    ("utf16", nginx().decode().encode("utf-16"), "invalid_utf8"),
    ("five_megabytes", b'{"a":"' + b"x" * 5_000_000 + b'"}', "oversized"),
    ("in_2099", nginx(msec=4070908800), "time_out_of_range"),
    ("in_1970", nginx(msec=0), "time_out_of_range"),
    ("31_days_old", nginx(msec=MSEC - 31 * 86400), "time_out_of_range"),
    ("61_seconds_ahead", nginx(msec=NOW.timestamp() + 61), "time_out_of_range"),
    ("text_of_2099", text("GET / HTTP/1.1").replace(b"2026", b"2099"), "time_out_of_range"),
    ("milliseconds_since_epoch", nginx(msec=MSEC * 1000), "invalid_time"),
    ("time_is_a_word", nginx(msec="yesterday"), "invalid_time"),
    ("time_is_negative", nginx(msec=-5), "invalid_time"),
    ("time_is_nan", nginx(msec="NaN"), "invalid_time"),
    ("time_of_day_only", nginx(msec=None, time_iso8601="T11:59:50"), "invalid_time"),
    ("thirteenth_month", text("GET / HTTP/1.1").replace(b"Nov", b"Mov"), "invalid_time"),
    ("time_missing", nginx(msec=None), "missing_field"),
    ("status_missing", nginx(status=None), "missing_field"),
    ("client_missing", nginx(remote_addr=None), "missing_field"),
    ("status_is_a_word", nginx(status="ok"), "invalid_status"),
    ("status_too_big", nginx(status=1000), "invalid_status"),
    ("status_is_an_object", nginx(status={"a": 1}), "invalid_status"),
    ("client_is_a_sentence", nginx(remote_addr="not an address"), "invalid_client"),
    ("client_is_empty", nginx(remote_addr=""), "invalid_client"),
]
