"""C#, F# and other languages of .NET, Mono and Unity."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import LAMBDA, Grammar, modules, name_rules

# the words of .NET's own translations
_AT = r"(?:at|bei|à|en|in|в|w|em|vid|ved|conditions|在|場所|위치:)"
_IN = r"(?:in|dans|en|na|i|в|w|em|konumunda|位置|場所)"
_LINE = r"(?:\w+[ .]+)?"

CSHARP = Grammar(
    sign=re.compile(
        r"^\s*" + _AT + r" .+\) " + _IN + r" .+:" + _LINE + r"\d+\.?\s*$|^\s*at .+\) \[0x"
        r"|^\s*at [\w.<>`+\[\],|]+ ?\((?!native|<anonymous>|unknown)[^():/]*\)\s*$"
        r"|^[\w.+`<>/]+:[\w.<>]+ ?\(.*\) \(at .+:\d+\)",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^\s*" + _AT + r" (?:\(wrapper [^)]*\) )?"
            r"(?P<module>[^\s(]+)\.(?P<function>(?:\.c?ctor)|[^\s.(]+) ?\(.*?\)"
            r"(?: \[0x[0-9a-fA-F]+\])?"
            r"(?: " + _IN + r" (?P<file>.+?):" + _LINE + r"(?P<line>\d+)\.?)?\s*$"
        ),
        re.compile(
            r"^(?P<module>[\w.+`<>/]+):(?P<function>\.?[\w<>`]+) ?\(.*?\)"
            r"(?: \(at (?P<file>.+?):(?P<line>\d+)\))?$"
        ),
    ),
    exception=re.compile(
        r"^(?:Unhandled [Ee]xception[.:] ?)?(?:\s*-+> (?:\(Inner Exception #\d+\) )?)?"
        r"(?P<type>(?:[^\W\d][\w`]*\.)*[\w`+]*(?:Exception|Error)[\w`]*)"
        r"(?: \(0x[0-9A-Fa-f]+\))?(?::\s?(?P<message>.*))?$"
    ),
    foreign_modules=modules(
        "System.", "Microsoft.", "Newtonsoft.", "Mono.", "Npgsql.", "NHibernate.", "Autofac.",
        "Castle.", "MediatR.", "Polly.", "Serilog.", "Grpc.", "UnityEngine.", "UnityEditor.",
        "FSharp.", "Dapper.", "MySql.", "MongoDB.", "RabbitMQ.", "StackExchange.", "Hangfire.",
        "FluentValidation.", "AutoMapper.", "NLog.", "Xunit.", "NUnit.", "Swashbuckle.",
        "Interop.", "Internal.", "(unknown)", "Quartz.", "MassTransit.", "Sentry.",
    ),
    module_rules=name_rules(
        (r"[.+/]<(\w+)>d__\d+(?:`\d+)?$", r".\1"),
        (r"[.+/]<>c(?:__DisplayClass[\w]*)?(?:`\d+)?(?=$|[.+/])", ""),
        (r"`\d+(?:\[.*\])?", ""),
        (r"\[.*\]$|<(?!lambda)[^<>]*>$", ""),
        (r"[+/]", "."),
    ),
    function_rules=name_rules(
        (r"^<(\w+)>b__[\w]+$", rf"\1.{LAMBDA}"),
        (r"^<(\w+)>g__(\w+)\|[\w]+$", r"\1.\2"),
        (r"^<(\w+)>d__\d+$", r"\1"),
        (r"^MoveNext$", ""),
        (r"`\d+|\[.*\]$|<(?!lambda)[^<>]*>$", ""),
    ),
)  # fmt: skip
