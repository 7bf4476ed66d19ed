"""C, C++, Objective-C and Swift: sanitizers, debuggers, and the crash reports of systems."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import LAMBDA, Grammar, name_rules

_PLACE = r"(?P<file{0}>(?:[A-Za-z]:)?[^\s:()]+\.\w+)(?::(?P<line{0}>\d+))?(?::\d+)?"

NATIVE = Grammar(
    sign=re.compile(
        r"^\s*#\d+\s+0x[0-9a-f]+ (?:in |\()|==\d+==\s?ERROR: |^\s*#\d\d pc [0-9a-f]+ "
        r"|^\d+\s+\S.*\s0x[0-9a-f]{8,}\s|frame #\d+: 0x|\+0x[0-9a-f]+\) ?\[0x"
        r"|^#\d+\s+\S+ \(.*\) at \S+:\d+$|^\s*\d+\s+\S+!\S|^[\w.-]+\.(?:exe|dll)!",
        re.MULTILINE,
    ),
    frames=(
        # tombstones of Android
        re.compile(
            r"^\s*#\d+\s+pc [0-9a-f]+\s+(?P<module>\S+)(?: \(offset 0x[0-9a-f]+\))?"
            r"(?: \((?P<function>.+?)(?:\+\d+)?\))??(?: \(BuildId: \w+\))?$"
        ),
        # sanitizers and gdb
        re.compile(
            r"^\s*#\d+\s+(?:0x[0-9a-f]+ )?in (?P<function>.+?)"
            r"(?: " + _PLACE.format("")
            + r"| \((?P<module>[^()\s]+)\+0x[0-9a-f]+\)"
            r"| \([^()]*(?:\([^()]*\)[^()]*)*\)(?: at " + _PLACE.format("2")
            + r"| from (?P<module2>\S+))?)?(?: \(BuildId: \w+\))?$"
        ),
        re.compile(r"^\s*#\d+\s+0x[0-9a-f]+\s+\((?P<module>[^()\s]+?)(?:\+0x[0-9a-f]+)?\)"),
        re.compile(
            r"^#\d+\s+(?P<function>[\w:~<>*&]+(?: const)?) \(.*\)"
            r"(?: at " + _PLACE.format("") + r"| from (?P<module>\S+))?$"
        ),
        # lldb
        re.compile(
            r"^\s*\*? ?frame #\d+: 0x[0-9a-f]+ (?P<module>[^`\s]+)`(?P<function>.+?)"
            r"(?: \+ \d+)?(?: at " + _PLACE.format("") + r")?$"
        ),
        # the runtime of Swift
        re.compile(
            r"^\d+ +(?:\[[^\]]+\] +)*0x[0-9a-f]+ (?P<function>.+?) (?:\+ \d+ )?"
            r"in (?P<module>\S+)(?: at " + _PLACE.format("") + r")?$"
        ),
        # reports of macOS and iOS
        re.compile(
            r"^\d+\s+(?P<module>\S.*?)\s+0x[0-9a-f]{8,}\s+(?P<function>.+?)(?: \+ \d+)?"
            r"(?: \((?P<file>[^()\s]+?)(?::(?P<line>\d+))?\))?$"
        ),
        # what glibc prints of itself
        re.compile(
            r"^(?:\[[^\]]*\]\s*)?(?P<module>[^\s()]+)\((?P<function>[^()+]*(?:\([^()]*\))?[^()+]*)?"
            r"\+0x[0-9a-f]+\)\s?\[0x[0-9a-f]+\]$"
        ),
        # Visual Studio, minidump_stackwalk
        re.compile(
            r"^\s*(?:\d+\s+)?(?P<module>[\w.+-]+)!(?P<function>.+?)"
            r"(?: \[(?P<file>[^\]]+?) : (?P<line>\d+).*\]"
            r"| Line (?P<line2>\d+).*| \+ 0x[0-9a-f]+.*)?$"
        ),
    ),
    exception=re.compile(
        r"^(?:==\d+==\s?ERROR: (?P<type>\w+Sanitizer: [\w-]+)(?P<message>.*)"
        r"|.*\bsignal (?:\d+ \()?(?P<type2>SIG[A-Z]+)\b.*"
        r"|Exception Type:\s+(?P<type3>\w+).*|Crash reason:\s+(?P<type4>\S+).*"
        r"|terminate called after throwing an instance of '(?P<type5>.+)'"
        r"|.*?Fatal error: (?P<message2>.*)"
        r"|\*\*\* (?P<type6>(?:stack smashing|buffer overflow) detected).*"
        r"|(?P<type7>Segmentation fault|Aborted|Bus error|Illegal instruction)\b.*)$"
    ),
    names_stand_alone=True,
    foreign_modules=re.compile(
        r"(?:std|core|alloc|boost|__gnu_cxx|__cxxabiv1|__asan|__tsan|__msan|__ubsan|__interceptor"
        r"|__sanitizer|__libc|__GI|__scrt|__cxa|__pthread|tokio|rayon)(?:_|::|\b)"
        r"|(?:_*start|_*start_thread|_*clone3?|_*abort|_*raise|gsignal|_sigtramp|invoke_main|_*rust_\w+"
        r"|\w*mainCRTStartup|BaseThreadInitThunk|\w*RtlUserThreadStart\w*|malloc|free|calloc|realloc"
        r"|mem(?:cpy|move|set|cmp)|str(?:len|cpy|cmp|dup)|operator (?:new|delete)\S*"
        r"|rust_begin_unwind|lang_start\w*|_*NSThread__start__|_pthread_\w+|thread_start"
        r"|_dispatch_\w+|NSApplicationMain|UIApplicationMain|objc_\w+|swift_\w+)$"
        r"|(?:lib(?:c|m|pthread|dl|rt|gcc_s|stdc\+\+|c\+\+(?:abi)?|asan|tsan|art|binder|utils|hwui"
        r"|android_runtime|jvm|java|objc|dispatch|dyld|glib-2|gobject-2|gtk-\d|Qt\w+)|libsystem_\w+"
        r"|libswift\w+|ld-linux\S*|linker(?:64)?|boot\S*\.oat|base\.odex|app_process\w*|dyld\w*"
        r"|CoreFoundation|Foundation|UIKit\w*|AppKit|QuartzCore|GraphicsServices|HIToolbox|CFNetwork"
        r"|SwiftUI|AttributeGraph|JavaScriptCore|WebKit|libobjc\S*|kernel32|kernelbase|ntdll|user32"
        r"|ucrtbase\w*|vcruntime\w*|msvcp?\w*|combase|ole32|rpcrt4|win32u|gdi32|d3d\d+|dxgi"
        r"|mscor\w+|coreclr|clr)(?:[-.]\S*)?$",
        re.IGNORECASE,
    ),
    foreign_files=re.compile(
        r"(?i)^(?:/usr)?/lib(?:32|64)?/|^/usr/(?:include|src)/|sysdeps/|/System/Library/|/rustc/"
        r"|[/\\]windows[/\\]system32[/\\]|[/\\]vctools[/\\]|/apex/|^/system/|libsanitizer|compiler-rt"
        r"|^\.\.?/(?:csu|nptl|stdlib|sysdeps)/|exe_common\.inl$|f:\\dd\\"
    ),
    nameless=re.compile(r"(?:\?\?|0x[0-9a-f]+|<unknown>|<redacted>|<lambda>|___?lldb_unnamed\S*)?"),
    module_rules=name_rules(
        (r"^.*[/\\]", ""), (r"(\.so)[.\d]+$", r"\1"), (r"(?i)\.(?:exe|dll|dylib)$", "")
    ),
    function_rules=name_rules(
        (r"(?:\+0x[0-9a-fA-F]+| \+ \d+)$|@@?[A-Z][\w.]*$|@plt$", ""),
        (r"\[(?:clone|abi:|with) ?[^\]]*\]", ""),
        (r"\.(?:constprop|isra|part|cold|llvm|lto_priv|resume|destroy)(?:\.\d+)*", ""),
        (r"\(anonymous namespace\)::|`anonymous namespace'::|\?A0x[0-9a-f]+::|\{anonymous\}::", ""),
        (r"::h[0-9a-f]{16}$", ""),
        (r"\{\{?(?:closure|lambda)\}?[^}]*\}?\}?(?:::operator\(\))?", LAMBDA),
        (r"(?:<lambda_[0-9a-f]+>|\$_\d+)(?:::operator\(\))?|'lambda\d*'\([^)]*\)", LAMBDA),
        # Objective-C's blocks and Swift's closures
        (r"^_*\d*([-+]\[.*\]|\w+?)_block_invoke(?:_?\d+)?$", rf"\1.{LAMBDA}"),
        (r"^(?:implicit )?closure #\d+ (?:\(.*?\) )?in (?:closure #\d+ (?:\(.*?\) )?in )*", ""),
        (
            (r"^(?:(?:partial apply (?:forwarder )?|reabstraction thunk helper )(?:for |from )"
            r"|specialized |generic specialization <.*?> of |@objc |merged |thunk for |static )+"),
            "",
        ),
        (r"std::__(?:1|cxx11|ndk1)::", "std::"),
        (r" \[inlined\]$|^\[inlined\] ", ""),
    ),
)  # fmt: skip
