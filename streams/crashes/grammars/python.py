"""Python: tracebacks, chains, exception groups and faulthandler's dumps."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import Grammar

PYTHON = Grammar(
    sign=re.compile(
        r'^[\s|]*Traceback \(most recent call last\)|^[\s|]*File "[^"]+", line \d+', re.MULTILINE
    ),
    frames=(
        re.compile(
            r'^[\s|]*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:,? in (?P<function>.+))?$'
        ),
    ),
    exception=re.compile(
        r"^(?:\s+\| )?(?P<type>(?:[^\W\d]\w*\.)*(?:<locals>\.)?[^\W\d]\w*)"
        r"(?::(?:\s(?P<message>.*))?)?$"
    ),
    is_innermost_first=False,
    frames_come_first=True,
    causes_come_first=True,
    foreign_files=re.compile(
        r"(?i)[/\\](?:site|dist)-packages[/\\]|[/\\]lib(?:64)?[/\\](?:python|pypy)\d"
        r"|[/\\]python[\d.]*[/\\]lib[/\\]|^<frozen |^<__array_function__|[/\\]runtimes[/\\]python"
        r"|_lib[/\\]versions[/\\]third_party|^<string>$|[/\\]\.?venv[/\\]|\.egg[/\\]|\.zipimport"
    ),
    foreign_modules=re.compile(
        r"(?:abc|argparse|ast|asyncio|base64|code|codecs|collections|concurrent|contextlib|copy"
        r"|csv|ctypes|datetime|decimal|email|encodings|enum|fractions|ftplib|functools|glob|gzip"
        r"|hashlib|hmac|html|http|imaplib|importlib|inspect|io|ipaddress|itertools|json|locale"
        r"|logging|lzma|mimetypes|multiprocessing|numbers|operator|os|pathlib|pickle|pkgutil"
        r"|platform|posixpath|queue|random|re|runpy|sched|select|selectors|shelve|shlex|shutil"
        r"|signal|smtplib|socket|socketserver|sqlite3|ssl|statistics|string|struct|subprocess"
        r"|tarfile|tempfile|threading|timeit|tokenize|traceback|types|typing|unittest|urllib"
        r"|urllib3|uuid|warnings|weakref|wsgiref|xml|xmlrpc|zipfile|zlib|celery|billiard|kombu"
        r"|django|flask|werkzeug|gunicorn|uvicorn|starlette|fastapi|aiohttp|tornado|twisted"
        r"|sqlalchemy|psycopg2?|requests|redis|gevent|greenlet|pydantic|jinja2|click|rest_framework"
        r"|sentry_sdk|raven|pytest|_pytest|pluggy|numpy|pandas|botocore|boto3|grpc)(?:\.|$)"
    ),
    # since Python 3.12 comprehensions have no frame of their own
    noise=re.compile(r"<(?:list|dict|set)comp>$"),
)
