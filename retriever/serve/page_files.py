"""The page's files by the path they are served at."""

from __future__ import annotations

_SCRIPT = "text/javascript"

PAGE_FILES = {
    "/": ("page.html", "text/html"),
    "/page.css": ("page.css", "text/css"),
    "/favicon.svg": ("favicon.svg", "image/svg+xml"),
    "/page.js": ("page.js", _SCRIPT),
    "/server.js": ("server.js", _SCRIPT),
    "/text.js": ("text.js", _SCRIPT),
    "/lists.js": ("lists.js", _SCRIPT),
    "/filters.js": ("filters.js", _SCRIPT),
    "/document.js": ("document.js", _SCRIPT),
}
"""Path to file name and media type; they hold nothing of a collection, so they need no token."""
