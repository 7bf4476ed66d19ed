"""One grammar per runtime: how its stack traces are written, and whose code a frame is.

Adding a runtime is adding a row to ``GRAMMARS``; nothing else knows the formats.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Grammar:
    """How one runtime writes a stack trace.

    Attributes:
        sign: found in a text that is surely of this runtime.
        frames: patterns of a line that names a call; groups ``function``, ``module``, ``file``,
            ``line``, and ``type`` and ``message`` where the line names the exception too.
        exception: pattern of a line that names an exception; groups ``type`` and ``message``.
        is_innermost_first: whether the newest call stands on top.
        frames_come_first: whether the exception's line follows its frames (Python).
        foreign_modules: modules of the language and of frameworks, matched from the start.
        foreign_files: places of files that are not the user's.
        noise: calls that carry no identity and differ from build to build: always left out.
    """

    sign: re.Pattern[str]
    frames: tuple[re.Pattern[str], ...]
    exception: re.Pattern[str]
    is_innermost_first: bool = True
    frames_come_first: bool = False
    foreign_modules: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))
    foreign_files: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))
    noise: re.Pattern[str] = field(default_factory=lambda: re.compile(r"(?!)"))


def _modules(*names: str) -> re.Pattern[str]:
    return re.compile("(?:" + "|".join(map(re.escape, names)) + ")")


_PYTHON = Grammar(
    sign=re.compile(
        r'^Traceback \(most recent call last\)|^\s*File "[^"]+", line \d+', re.MULTILINE
    ),
    frames=(
        re.compile(
            r'^[\s|]*File "(?P<file>[^"]+)", line (?P<line>\d+)(?:,? in (?P<function>.+))?$'
        ),
    ),
    exception=re.compile(
        r"^(?:\s+\| )?(?P<type>(?:[A-Za-z_]\w*\.)*[A-Za-z_]\w*)(?::\s(?P<message>.*))?$"
    ),
    is_innermost_first=False,
    frames_come_first=True,
    foreign_files=re.compile(
        r"(?i)[/\\](?:site|dist)-packages[/\\]|[/\\]lib[/\\]python\d|python\d+[/\\]lib[/\\]"
        r"|^<frozen |^<__array_function__|_lib[/\\]versions[/\\]third_party"
    ),
)

_JAVA = Grammar(
    sign=re.compile(
        r"^\s*at .+\((?:[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method"
        r"|Unknown Source|<generated>|SourceFile(?::\d+)?)\)",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^\s*at (?:[\w.@+-]*/{1,2})*(?P<module>[^\s()]+)\.(?P<function>[^\s().]+)"
            r"\((?P<file>[^():]*)(?::(?P<line>\d+))?\)"
        ),
    ),
    exception=re.compile(
        r"^(?:\s*(?:Caused by|Suppressed): |.*?\bException in thread \"[^\"]*\" |.*?[:\s])?"
        r"(?P<type>(?:[A-Za-z_][\w$]*\.)*[A-Z][\w$]*(?:Exception|Error|Throwable|Failure)[\w$]*)"
        r"(?::\s?(?P<message>.*))?$"
    ),
    foreign_modules=_modules(
        "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.",
        "scala.", "groovy.", "clojure.", "org.codehaus.groovy.", "android.", "androidx.",
        "com.android.internal.", "dalvik.", "org.springframework.", "org.apache.", "org.eclipse.",
        "org.mortbay.", "org.hibernate.", "org.jboss.", "org.junit.", "org.slf4j.",
        "org.aspectj.", "org.glassfish.", "io.netty.", "io.undertow.", "io.micronaut.",
        "io.quarkus.", "io.vertx.", "io.grpc.", "io.reactivex.", "reactor.", "rx.", "akka.",
        "play.api.", "play.core.", "okhttp3.", "retrofit2.", "com.fasterxml.", "com.google.common.",
        "com.google.inject.", "com.google.gson.", "com.zaxxer.", "com.mysql.", "org.postgresql.",
        "ch.qos.logback.", "cats.effect.", "zio.", "feign.",
    ),
    noise=re.compile(r"GeneratedMethodAccessor|GeneratedConstructorAccessor|FastClassBy|\$Proxy\d"),
)  # fmt: skip

_JAVASCRIPT = Grammar(
    sign=re.compile(
        r"^\s*at .+:\d+:\d+\)?$|^\s*at .*<anonymous>|^[^\s@]*@.+:\d+(?::\d+)?$"
        r"|^\w*Error\b.*\n\s+at ",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^\s*at (?P<function>[^(\n]*?(?:\(eval at .*)?) \((?P<file>[^\n]*?)"
            r"(?::(?P<line>\d+))?(?::\d+)?\)$"
        ),
        re.compile(r"^\s*at (?:async )?(?P<file>[^\s()]+?):(?P<line>\d+)(?::\d+)?$"),
        re.compile(r"^\s*at (?P<function>[\w.$<> ]+)$"),
        re.compile(r"^(?P<file>[a-z]{3,10}://\S+?):(?P<line>\d+)(?::\d+)?$"),
        re.compile(r"^\s*(?P<function>[^@\n]*)@(?P<file>.*?)(?::(?P<line>\d+))?(?::\d+)?$"),
    ),
    exception=re.compile(
        r"^\s*(?:\[cause\]: |Caused by: )?(?:Uncaught )?"
        r"(?P<type>(?:[\w$]+\.)*(?:[A-Z][\w$]*)?(?:Error|Exception))"
        r"(?: \[\w+\])?(?::\s?(?P<message>.*))?$"
    ),
    foreign_files=re.compile(
        r"[/\\]node_modules[/\\]|^node:|^internal/|^(?:module|vm|events|net|_http\w*|timers|fs"
        r"|domain|bootstrap_node)\.js$|webpack/bootstrap|^(?:chrome|moz|safari)-extension:"
    ),
    noise=re.compile(
        r"^(?:native|<anonymous>|index 0|unknown location|\[native code\]|native code)$"
    ),
)

_GO = Grammar(
    sign=re.compile(r"^goroutine \d+ \[|^panic: |^\t\S+\.go:\d+", re.MULTILINE),
    frames=(
        re.compile(
            r"^(?:created by )?(?P<module>(?:[^\s()]*/)?[^\s()/.]+)\.(?P<function>[^\s].*?)"
            r"(?:\((?:0x|\.\.\.|\{|\)|_|[0-9]).*|\(\)| in goroutine \d+)?$"
        ),
    ),
    exception=re.compile(
        r"^(?P<type>panic|fatal error|unexpected fault address)(?::| )\s?(?P<message>.*)$"
    ),
    foreign_modules=re.compile(
        r"(?:archive|bufio|bytes|compress|container|context|crypto|database|encoding|errors|fmt"
        r"|internal|io|iter|log|maps|math|net|os|reflect|regexp|runtime|slices|sort|strconv"
        r"|strings|sync|syscall|testing|text|time|unicode|html|golang\.org/x|google\.golang\.org"
        r"|github\.com/(?:gin-gonic|gorilla|labstack|go-chi|valyala|gofiber|grpc-ecosystem))"
        r"(?:/|$)"
    ),
)

_RUBY = Grammar(
    sign=re.compile(r":\d+:in [`']", re.MULTILINE),
    frames=(
        re.compile(
            r"^\s*(?:from |\d+: from |at )?(?P<file>(?:[\w-]+ \([\w.]+\) )?[^\s:]+(?:\.\w+)?)"
            r":(?P<line>\d+):in [`'](?P<function>[^']*)'"
            r"(?:: (?P<message>.*) \((?P<type>[A-Z][\w:]*)\)\s*$)?"
        ),
    ),
    exception=re.compile(
        r"^\s*(?:(?P<type>[A-Z]\w*(?:::\w+)*) \((?P<message>.*)\):?$"
        r"|.*\((?P<type2>[A-Z]\w*(?:::\w+)*)\)$)"
    ),
    foreign_files=re.compile(
        r"/gems/|/ruby/\d|/lib/ruby/|^<internal:|^[\w-]+ \([\w.]+\) |/bundler/|\(eval\)"
    ),
)

_CSHARP = Grammar(
    sign=re.compile(
        r"^\s*at .+\) in .+:(?:line )?\d+$|^\s*at .+\) \[0x"
        r"|^\s*at [\w.<>`+\[\],]+\((?!native|<anonymous>|unknown)[^():/]*\)$",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^\s*at (?:\(wrapper [^)]*\) )?"
            r"(?P<module>[^\s(]+)\.(?P<function>(?:\.c?ctor)|[^\s.(]+) ?\(.*?\)"
            r"(?: \[0x[0-9a-fA-F]+\])?(?: in (?P<file>.+?):(?:line )?(?P<line>\d+))?\s*$"
        ),
    ),
    exception=re.compile(
        r"^(?:Unhandled [Ee]xception[.:] ?)?(?:\s*-+> (?:\(Inner Exception #\d+\) )?)?"
        r"(?P<type>(?:[A-Za-z_][\w`]*\.)+[\w`+]*(?:Exception|Error)[\w`]*)(?::\s?(?P<message>.*))?$"
    ),
    foreign_modules=_modules(
        "System.", "Microsoft.", "Newtonsoft.", "Mono.", "Npgsql.", "NHibernate.", "Autofac.",
        "Castle.", "MediatR.", "Polly.", "Serilog.", "Grpc.", "UnityEngine.", "FSharp.",
    ),
)  # fmt: skip

_PHP = Grammar(
    sign=re.compile(
        r"^#\d+ (?:.+\(\d+\): |\[internal function\]: |\{main\})|^PHP Fatal", re.MULTILINE
    ),
    frames=(
        re.compile(
            r"^#\d+ (?P<file>\[internal function\]|.+?)(?:\((?P<line>\d+)\))?: "
            r"(?:(?P<module>[\w\\@/.:-]+?)(?:->|::))?(?P<function>[^(]+)\("
        ),
    ),
    exception=re.compile(
        r"^(?:.*?(?:PHP Fatal error:\s+|Fatal error: )?(?:Uncaught |Next )?)"
        r"(?:exception '(?P<type>[\w\\]+)' with message '(?P<message>.*)'"
        r"|(?P<type2>(?:\w+\\)*[A-Z]\w*(?:Exception|Error)\w*):\s.*)(?: in .+:\d+)?$"
    ),
    foreign_files=re.compile(r"[/\\]vendor[/\\]|^\[internal function\]$|^phar://"),
)

_DART = Grammar(
    sign=re.compile(r"^#\d+\s+\S.* \((?:dart:|package:|file:|asset:).*\)", re.MULTILINE),
    frames=(
        re.compile(r"^#\d+\s+(?P<function>.+?) \((?P<file>.+?)(?::(?P<line>\d+))?(?::\d+)?\)\s*$"),
    ),
    exception=re.compile(
        r"^(?!Unhandled exception)(?:Instance of ')?"
        r"(?P<type>_?[A-Z][\w ]*(?:\(\w+\))?)'?(?::\s?(?P<message>.*)|$)"
    ),
    foreign_files=re.compile(r"^dart:|^package:flutter/|^package:(?:http|dio|async|bloc)/"),
)

_RUST = Grammar(
    sign=re.compile(r"^thread '.*' (?:\(\d+\) )?panicked at |^stack backtrace:$", re.MULTILINE),
    frames=(
        re.compile(
            r"^\s*\d+:\s+(?:0x[0-9a-f]+ - )?"
            r"(?P<module><?\S.*?)::(?P<function>[^:\s]+?)(?:::h[0-9a-f]{16})?\s*$"
        ),
        re.compile(r"^\s*\d+:\s+(?:0x[0-9a-f]+ - )?(?P<function>\w+)\s*$"),
    ),
    exception=re.compile(r"^thread '[^']*' (?:\(\d+\) )?(?P<type>panic)ked at (?P<message>.*)$"),
    foreign_modules=re.compile(
        r"<?(?:std|core|alloc|backtrace|test|tokio|futures\w*|hyper|actix\w*|rayon|axum|tower"
        r"|failure|rocket|__rust\w*|_?rust_\w+)(?:::|$)|<(?:alloc|std|core)\b"
        r"|rust_begin_unwind|_start|__libc_\w+|main$"
    ),
    noise=re.compile(r"^(?:rust_begin_unwind|__rust_\w+|_?start_thread|__clone3?|clone)$"),
)

GRAMMARS: dict[str, Grammar] = {
    "python": _PYTHON,
    "java": _JAVA,
    "go": _GO,
    "rust": _RUST,
    "dart": _DART,
    "php": _PHP,
    "ruby": _RUBY,
    "csharp": _CSHARP,
    "javascript": _JAVASCRIPT,
}
"""By runtime; the order is the order of recognition, the vaguest sign last."""

_NAMES = {
    "python": ("python", "pypy"),
    "javascript": ("javascript", "node", "browser", "deno", "bun", "react", "electron"),
    "java": ("java", "jvm", "jdk", "jre", "kotlin", "scala", "groovy", "android", "hotspot"),
    "csharp": ("csharp", "c#", "net", "mono"),
    "ruby": ("ruby", "rails"),
    "php": ("php", "laravel"),
    "dart": ("dart", "flutter"),
    "rust": ("rust",),
    "go": ("go",),
}  # fmt: skip


def runtime_of(name: str, stacktrace: str) -> str:
    """The runtime that ``process.runtime.name`` means, else the one the trace looks like.

    >>> runtime_of("CPython", ""), runtime_of("OpenJDK Runtime Environment", "")
    ('python', 'java')
    >>> runtime_of("", "panic: boom")
    'go'
    """
    lowered = name.lower()
    if lowered in ("gc", "gccgo"):
        return "go"
    for runtime, words in _NAMES.items():
        if any(word in lowered for word in words):
            return runtime
    for runtime, grammar in GRAMMARS.items():
        if grammar.sign.search(stacktrace):
            return runtime
    return lowered
