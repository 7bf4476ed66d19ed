"""Go and Rust."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import LAMBDA, Grammar, name_rules

GO = Grammar(
    sign=re.compile(r"^goroutine \d+ .*\[|^panic: |^\t\S+\.go:\d+", re.MULTILINE),
    frames=(
        re.compile(
            r"^(?:created by )?(?P<module>(?:[^\s()]*/)?[^\s()/.]+)\.(?P<function>[^\s].*?)"
            r"(?:\((?:0x|\.\.\.|\{|\)|_|[0-9]).*|\(\)| in goroutine \d+)?$"
        ),
    ),
    exception=re.compile(
        r"^(?:.*http: panic serving [^\n]*?: )?(?:(?:.*?\s)??"
        r"(?P<type>panic|fatal error|unexpected fault address|runtime error)(?::| )\s?)"
        r"(?P<message>.*)$"
    ),
    place=re.compile(r"^\s+(?P<file>\S.*?\.(?:go|s)):(?P<line>\d+)(?:\s|$)"),
    foreign_modules=re.compile(
        r"(?:archive|bufio|bytes|compress|container|context|crypto|database|encoding|errors|fmt"
        r"|internal|io|iter|log|maps|math|net|os|reflect|regexp|runtime|slices|sort|strconv"
        r"|strings|sync|syscall|testing|text|time|unicode|html|golang\.org/x|google\.golang\.org"
        r"|go\.uber\.org|gorm\.io|go\.opentelemetry\.io|k8s\.io/(?:client-go|apimachinery)"
        r"|github\.com/(?:gin-gonic|gorilla|labstack|go-chi|valyala|gofiber|grpc-ecosystem"
        r"|getsentry|sirupsen|spf13|stretchr|jackc|lib/pq|go-redis|redis|urfave|prometheus))"
        r"(?:/|$)"
    ),
    foreign_files=re.compile(r"/pkg/mod/|/vendor/|/go/src/(?:runtime|net|testing|internal)/"),
    module_rules=name_rules(
        (r"^main\d+$", "main"), (r"@v[\w.+-]+", ""), (r"/v\d+(?=/|$)", ""), (r"%2e", ".")
    ),
    function_rules=name_rules(
        (r"\[[^\]]*\]", ""),
        (r"(?:\.func\d+)(?:\.\d+|\.func\d+|\.gowrap\d+)*(?:-fm)?$", f".{LAMBDA}"),
        (r"[-·]fm$", ""),
        (r"\.(?:gowrap|deferwrap)\d+$", ""),
    ),
)

RUST = Grammar(
    sign=re.compile(r"^thread '.*' (?:\(\d+\) )?panicked at |^stack backtrace:$", re.MULTILINE),
    frames=(
        re.compile(
            r"^\s*\d+:\s+(?:0x[0-9a-f]+ - )?"
            r"(?P<module><?\S.*?)::(?P<function>[^:\s]+?)(?:::h[0-9a-f]{16})?\s*$"
        ),
        re.compile(r"^\s*\d+:\s+(?:0x[0-9a-f]+ - )?(?P<function>\w+)\s*$"),
    ),
    exception=re.compile(r"^thread '[^']*' (?:\(\d+\) )?(?P<type>panic)ked at (?P<message>.*)$"),
    place=re.compile(r"^\s+at (?P<file>\S.*?):(?P<line>\d+)(?::\d+)?$"),
    foreign_modules=re.compile(
        r"<?(?:std|core|alloc|backtrace|test|tokio|futures\w*|hyper|actix\w*|rayon|axum|tower"
        r"|failure|rocket|warp|anyhow|eyre|color_eyre|tracing\w*|mio|__rust\w*|_?rust_\w+)(?:::|$)"
        r"|<(?:alloc|std|core)\b|rust_begin_unwind|_start|__libc_\w+|_?main$|clone3?$|start_thread$"
    ),
    foreign_files=re.compile(r"/rustc/|[/\\]\.?cargo[/\\](?:registry|git)[/\\]"),
    noise=re.compile(r"^\.?(?:rust_begin_unwind|__rust_\w+|_?start_thread|__clone3?|clone)$"),
    module_rules=name_rules(
        (r"::h[0-9a-f]{16}$", ""),
        (r"\[[0-9a-f]{8,}\]", ""),
        (r"(?:::)?\{\{?(?:closure|impl)(?:#\d+)?\}?\}", f"::{LAMBDA}"),
        (r"^<(.+?) as .+>$", r"\1"),
        (r"(?:::)?<(?!lambda>)[^<>]*>", ""),
        (r"(?:::)?<(?!lambda>)[^<>]*>", ""),
        (r"^<|(?<!lambda)>$|^&(?:mut )?", ""),
    ),
    function_rules=name_rules(
        (r"::h[0-9a-f]{16}$", ""),
        (r"\{\{?(?:closure|async_(?:fn|block))(?:#\d+|_env#\d+)?\}?\}", LAMBDA),
        (r"<(?!lambda>).*>$", ""),
    ),
)
