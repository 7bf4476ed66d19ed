"""JavaScript: Node, Deno, Bun, React Native, and every browser's own way to write a stack."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import LAMBDA, Grammar, name_rules

JAVASCRIPT = Grammar(
    sign=re.compile(
        r"^\s*at .+:\d+:\d+\)?$|^\s*at .*<anonymous>|^[^\s@]*@.+:\d+(?::\d+)?$"
        r"|^[\w. ]*Error\b.*\n\s+at ",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^\s*at (?P<function>[^(\n]*?(?:\(eval at .*)?) \((?:address at )?(?P<file>[^\n]*?)"
            r"(?::(?P<line>\d+))?(?::\d+)?\)$"
        ),
        re.compile(r"^\s*at (?:async )?(?P<file>[^\s()]+?):(?P<line>\d+)(?::\d+)?$"),
        re.compile(r"^\s*at (?P<function>[\w.$<> ]+)$"),
        re.compile(r"^(?P<file>[a-z]{3,10}://\S+?):(?P<line>\d+)(?::\d+)?$"),
        re.compile(r"^\s*(?P<function>[^@\n]*)@(?P<file>.*?)(?::(?P<line>\d+))?(?::\d+)?$"),
    ),
    exception=re.compile(
        r"^\s*(?:\[cause\]: |\[errors\]: |Caused by: |- )?"
        r"(?:Unc?aught |Unhandled |\(in promise\) )*"
        r"(?:Promise Rejection\w*:? |UnhandledPromiseRejectionWarning: )?"
        r"(?P<type>(?:[\w$]+\.)*(?:[A-Z][\w$]*)?(?:Error|Exception))"
        r"(?: \[\w+\])?(?::\s?(?P<message>.*?))?(?: \{)?$"
    ),
    foreign_files=re.compile(
        r"[/\\]node_modules[/\\]|^node:|^internal/|^(?:module|vm|events|net|_http\w*|timers|fs"
        r"|domain|bootstrap_node)\.js$|webpack/(?:bootstrap|runtime)"
        r"|^(?:chrome|moz|safari-web|safari)-extension:|[/\\](?:vendor|polyfills?|runtime)[\w.~-]*\.js$"
        r"|(?:jquery|angular|react(?:-dom)?|vue|zone)(?:[-.]\d[\w.]*)?(?:\.production|\.development)?(?:\.min)?\.js$"
    ),
    noise=re.compile(
        r"^(?:native|<anonymous>|index \d+|unknown location|\[?native code\]?|eval code)$"
        r"|\.eval$|^eval$"
    ),
    # one or two letters are a minifier's; a function that was called by its value has no name
    nameless=re.compile(r"[\w$]{0,2}|<lambda>|eval|call|apply|this|Anonymous function"),
    module_rules=name_rules((r"^<unknown module>$", "")),
    function_rules=name_rules(
        (r"\(eval at .*", "eval"),
        (r"^.*\*", ""),
        (r" \[as [^\]]*\]", ""),
        (r"^(?:async |new |get |set )+", ""),
        (r"^.*/<+$|<anonymous>$|^anonymous$|^\?$|^Anonymous function$", LAMBDA),
        (r"^.*\.(?:<anonymous>|<fn>|<lambda>)$", LAMBDA),
        (r"^(?:global|eval|module) code$|^Global code$|^\{\{?main\}?\}$", ""),
        (r"\[.*\]$", ""),
        (r"^.*[./]#?([\w$]+)$", r"\1"),
        (r"^[_$]+(?=\w{3})|\$\d+$", ""),
    ),
)
