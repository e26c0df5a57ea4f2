"""Make the HTML that a browser gets first: Streamlit's own page, made ours, which paints before any script is there."""

from __future__ import annotations

import base64
import hashlib
import html
import json
import re
from pathlib import Path

from filmroom.assets import ASSETS
from filmroom.search.ui.text import NOTICE

# The first page's parts, by the beginnings of their file names. Streamlit asks for them one by one when its program
# runs and the server has said what stands on the page; named here, they are on their way from the start.
_PARTS = ("Html", "TextInput", "Checkbox", "Selectbox", "BidiComponent", "Popover", "Button")
_IMPORT = re.compile(r"""(?:from|import)\s*["'`]\./([\w.$-]+\.js)["'`]""")

_STYLE = ASSETS / "style" / "shell.css"

# Where the server is (otherwise Streamlit tries the page's own path first, and fails), and the theme that was chosen.
_SCRIPT = """
window.prerenderReady = false;
window.__streamlit = { BACKEND_BASE_URL: location.origin + %s };
try {
  const place = Object.keys(localStorage).find((key) => key.startsWith(`stActiveTheme-${location.pathname}-v`));
  const chosen = /dark|light/i.exec(place ? JSON.parse(localStorage.getItem(place)).name : "");
  if (chosen) document.documentElement.dataset.theme = chosen[0].toLowerCase();
} catch {}
"""


def page(streamlits: str, base: str, scripts: Path) -> tuple[str, str]:
    """Return our page made from Streamlit's (`streamlits`), and the SHA-256 of its one inline script, in base64.

    `base` is the path that the server stands under, without a slash at its end; `scripts` the folder of the scripts.
    """
    body = re.sub(r"<!--.*?-->", "", streamlits, flags=re.DOTALL)
    head = body[body.index("<head>") : body.index("</head>")]
    links = re.findall(
        r"<(?:script type=\"module\"|link rel=\"(?:modulepreload|stylesheet)\")[^>]*>(?:</script>)?", head
    )
    font = next((path.name for path in (scripts.parent / "media").glob("MaterialSymbols-Rounded.*")), "")
    tags = [re.sub(r'"\./', f'"{base}/', link).replace(" crossorigin", "") for link in links]
    known = set(re.findall(r"/static/js/([\w.$-]+\.js)", "".join(tags)))
    preloads = [
        f'<link rel="modulepreload" href="{base}/static/js/{name}">' for name in parts(scripts) if name not in known
    ]
    script = _SCRIPT % json.dumps(base or "/")
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    notice = html.escape(NOTICE)
    lines = [
        '<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8">',
        '<meta name="viewport" content="width=device-width, initial-scale=1"><title>Filmroom</title>',
        f'<link rel="icon" href="{base}/favicon.png"><style>{_STYLE.read_text("utf-8")}</style>',
        f"<script>{script}</script>",
        *(tag for tag in tags if "stylesheet" not in tag),
        *preloads,
        f'<link rel="preload" href="{base}/static/media/{font}" as="font" crossorigin>' if font else "",
        '</head><body><noscript><p>Filmroom needs JavaScript.</p></noscript><div id="root"></div>',
        f'<div class="shell" aria-hidden="true"><strong>Filmroom</strong><i></i><small>{notice}</small></div>',
        *(tag for tag in tags if "stylesheet" in tag),  # below the shell, which need not wait for it
        "</body></html>",
    ]
    return "\n".join(lines), digest


def missing_page(base: str) -> str:
    """Return the HTML for an address that is none, with the way to the search; it has no script."""
    return (
        '<!DOCTYPE html><html lang="en"><head><meta charset="UTF-8"><title>Filmroom</title>'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        "<style>:root { color-scheme: light dark } body { font: 1rem system-ui; margin: 4rem auto; max-width: 30rem }"
        "</style></head><body><h1>There is no such page</h1><p>The address may be misspelled.</p>"
        f'<p><a href="{html.escape(base, quote=True)}/">To the search</a></p></body></html>'
    )


def parts(scripts: Path) -> list[str]:
    """Return the file names of the first page's parts, with what they import."""
    names: dict[str, None] = {}
    waiting = [path.name for start in _PARTS for path in sorted(scripts.glob(f"{start}.*.js"))]
    while waiting:
        name = waiting.pop()
        if name in names or not (scripts / name).is_file():
            continue
        names[name] = None
        waiting += _IMPORT.findall((scripts / name).read_text("utf-8"))
    return list(names)
