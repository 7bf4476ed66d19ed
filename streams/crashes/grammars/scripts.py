"""Ruby, PHP and Dart."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import LAMBDA, Grammar, modules, name_rules

RUBY = Grammar(
    sign=re.compile(r"\.\w+:\d+:in [`'].*'", re.MULTILINE),
    frames=(
        re.compile(
            r"^\s*(?:from |\d+: from |at )?"
            r"(?P<file>(?:[\w-]+ \([\w.]+\) )?(?:[A-Z]:)?[^\s:]+(?:\.\w+)?)"
            r":(?P<line>\d+):in [`'](?P<function>[^']*)'"
            r"(?:: (?P<message>.*) \((?P<type>[A-Z][\w:]*)\)\s*$)?"
        ),
    ),
    exception=re.compile(
        r"^\s*(?:(?:Caused by: )?(?P<type>[A-Z]\w*(?:::\w+)*) \((?P<message>.*)\):?$"
        r"|.*\((?P<type2>[A-Z]\w*(?:::\w+)*)\)$)"
    ),
    foreign_files=re.compile(
        r"/gems/|/ruby/\d|/lib/ruby/|^<internal:|^[\w-]+ \([\w.]+\) |/bundler/|\(eval|/rubygems/"
    ),
    function_rules=name_rules(
        (r"^(?:(?:block|rescue|ensure)(?: \(\d+ levels\))? in )+", ""),
        (r"^(?:\w+(?:::\w+)*[#.])", ""),
        (r"(_+\w*erb)_+\d+(?:_\d+)?$", r"\1"),
        (r"_+\d+(?:_\d+)*$", ""),
        (r"^<(?:main|top \(required\))>$", "<main>"),
    ),
)

PHP = Grammar(
    sign=re.compile(
        r"^#\d+ (?:.+\(\d+\): |\[internal function\]: |\{main\})|^PHP (?:Fatal|Warning)",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^#\d+ (?P<file>\[internal function\]|.+?)(?:\((?P<line>\d+)\))?: "
            r"(?:(?P<module>[\w\\@/.:-]+?)(?:->|::))?(?P<function>[^(]+)\("
        ),
        re.compile(r"^#\d+ (?P<function>\{main\})$"),
    ),
    exception=re.compile(
        r"^(?:.*?(?:PHP Fatal error:\s+|Fatal error: )?(?:Uncaught |Next )?)"
        r"(?:exception '(?P<type>[\w\\]+)' with message '(?P<message>.*)'"
        r"|(?P<type2>(?:\w+\\)*[A-Z]\w*(?:Exception|Error)\w*)(?::\s?(?P<message2>.*?))?)"
        r"(?: in (?P<file>\S.*?)(?::| on line )(?P<line>\d+))?$"
    ),
    causes_come_first=True,
    files_are_callers=True,
    foreign_files=re.compile(r"[/\\]vendor[/\\]|^\[internal function\]$|^phar://"),
    foreign_modules=modules(
        "Illuminate\\", "Symfony\\", "Doctrine\\", "GuzzleHttp\\", "Monolog\\", "PHPUnit\\",
        "Composer\\", "Laravel\\", "Slim\\", "Yiisoft\\", "yii\\", "Zend\\", "Laminas\\", "Cake\\",
        "Twig\\", "Psr\\", "League\\", "Carbon\\", "Psy\\", "CodeIgniter\\", "PDO", "Sentry\\",
    ),
    module_rules=name_rules((r"class@anonymous.*", "<anonymous>"), (r"^.*\\\{closure", "")),
    function_rules=name_rules((r"^.*\{closure.*\}.*$", LAMBDA), (r"^.*\\", "")),
    nameless=re.compile(r"\{main\}|"),
)  # fmt: skip

DART = Grammar(
    sign=re.compile(r"^#\d+\s+\S.* \((?:dart:|package:|file:|asset:).*\)", re.MULTILINE),
    frames=(
        re.compile(r"^#\d+\s+(?P<function>.+?) \((?P<file>.+?)(?::(?P<line>\d+))?(?::\d+)?\)\s*$"),
    ),
    exception=re.compile(
        r"^(?!Unhandled exception|Uncaught)(?:Instance of ')?"
        r"(?P<type>_?[A-Z][\w ]*(?:\(\w+\))?)'?(?::\s?(?P<message>.*)|$)"
    ),
    foreign_files=re.compile(
        r"^dart:|^package:(?:flutter\w*|http|dio|async|bloc|provider|riverpod|get_it|stack_trace"
        r"|rxdart|meta|collection|shelf|grpc)/|\.pub-cache/"
    ),
    function_rules=name_rules(
        (r"^new ", ""),
        (r"<(?:anonymous closure|fn)>", LAMBDA),
        (r"(?:\.<lambda>)+", f".{LAMBDA}"),
        (r"^_(?=[A-Z]\w*\.)|@\d+", ""),
    ),
)
