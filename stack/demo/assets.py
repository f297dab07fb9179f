"""The static files of the demo shop; made by code, so that their sizes are known."""

import struct
import zlib
from pathlib import Path
from typing import Final

ASSETS: Final[dict[str, int]] = {
    "/assets/app.3f9c1b.css": 24_310,
    "/assets/theme.77ab02.css": 8_204,
    "/assets/vendor.5d01ce.js": 98_640,
    "/assets/app.91e7d4.js": 41_872,
    "/assets/cart.0b6e2f.js": 12_118,
    "/assets/search.c2d8a9.js": 9_377,
    "/assets/logo.svg": 3_142,
    "/assets/icons.svg": 11_906,
    "/assets/inter.woff2": 48_256,
    "/img/hero.jpg": 86_204,
    "/img/banner.png": 31_480,
    "/favicon.ico": 4_286,
} | {f"/img/products/{i}.jpg": 9_000 + 137 * i for i in range(1, 41)}
"""Path → bytes of everything a page asks for."""

DOCUMENTS: Final[dict[str, int]] = {
    "/robots.txt": 118,
    "/sitemap.xml": 6_420,
    "/help/shipping.html": 7_812,
    "/help/returns.html": 6_455,
    "/about.html": 9_140,
    "/download/catalogue.pdf": 262_144,
}
"""Path → bytes of static files that people and crawlers ask for by themselves."""

_PIXEL: Final = struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0)


def _chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


_HEADS: Final[dict[str, bytes]] = {
    ".css": b":root { --accent: #2f6f4f; }\n",
    ".js": b'"use strict";\n',
    ".svg": b'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 1 1"></svg>\n',
    ".html": b"<!doctype html><title>Loglake shop</title>\n",
    ".txt": b"User-agent: *\nDisallow: /admin/\nDisallow: /cart\n",
    ".xml": b'<?xml version="1.0"?><urlset/>\n',
    ".pdf": b"%PDF-1.4\n%%EOF\n",
    ".png": b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", _PIXEL)
    + _chunk(b"IDAT", zlib.compress(b"\0\0"))
    + _chunk(b"IEND", b""),
}


def write_site(root: Path) -> None:
    """Write each file below `root` at exactly its declared size; what is there stays."""
    for name, size in (ASSETS | DOCUMENTS).items():
        path = root / name.lstrip("/")
        if path.exists() and path.stat().st_size == size:
            continue
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(_HEADS.get(path.suffix, b"").ljust(size, b"\n")[:size])
