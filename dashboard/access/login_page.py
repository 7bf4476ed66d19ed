"""The page that asks for name and password: plain HTML, no script."""

from __future__ import annotations

from html import escape

_PAGE = """<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>Sign in · Coalmine</title>
<style>
body {{ font: 16px/1.5 Inter, "Segoe UI", Roboto, Arial, "Liberation Sans", sans-serif;
  margin: 0; min-height: 100vh; display: grid; place-items: center;
  background: light-dark(#f6f7f9, #16181d); color: light-dark(#1b1e24, #e6e8ec); }}
main {{ width: min(22rem, 86vw); }}
h1 {{ font-size: 1.4rem; margin: 0 0 1.2rem; }}
label {{ display: block; margin: 0 0 .9rem; font-weight: 600; font-size: .9rem; }}
input {{ display: block; box-sizing: border-box; width: 100%; margin-top: .3rem; padding: .55rem;
  font: inherit; border: 1px solid light-dark(#8a919e, #6b7280); border-radius: .5rem;
  background: light-dark(#fff, #22252c); color: inherit; }}
button {{ width: 100%; padding: .6rem; font: inherit; font-weight: 600; border: 0;
  border-radius: .5rem; background: #1c5fb8; color: #fff; cursor: pointer; }}
.error {{ margin: 0 0 1rem; padding: .6rem .8rem; border-radius: .5rem;
  background: light-dark(#fdecea, #43211f); color: light-dark(#8c1d18, #ffb4ab); }}
</style>
</head>
<body>
<main>
<h1>Coalmine</h1>
{error}
<form method="post" action="/login">
<input type="hidden" name="next" value="{target}">
<label>User<input name="user" value="{user}" autocomplete="username" required{first}></label>
<label>Password<input name="password" type="password" autocomplete="current-password"
 required{second}></label>
<button type="submit">Sign in</button>
</form>
</main>
</body>
</html>"""


def login_page(target: str, *, user: str = "", error: str = "") -> str:
    """The page.

    Args:
        target: path to go to afterwards.
        user: name that was typed before.
        error: what went wrong, in one sentence.
    """
    return _PAGE.format(
        target=escape(target, quote=True),
        user=escape(user, quote=True),
        error=f'<p class="error" role="alert">{escape(error)}</p>' if error else "",
        first="" if user else " autofocus",
        second=" autofocus" if user else "",
    )


def safe_target(text: str) -> str:
    r"""A path of ours, whatever a link asked for.

    >>> safe_target("/s/shop/r/2?x=1"), safe_target("//evil.example"), safe_target("/\\evil")
    ('/s/shop/r/2?x=1', '/', '/')
    """
    is_ours = text.startswith("/") and text[1:2] not in ("/", "\\") and text.isprintable()
    return text if is_ours and not text.startswith(("/login", "/logout", "/_dash")) else "/"
