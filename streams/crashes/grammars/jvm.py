"""Java, Kotlin, Scala, Groovy and Clojure, and the JVM's own crash files."""

from __future__ import annotations

import re

from streams.crashes.grammars.base import LAMBDA, Grammar, modules, name_rules

_TYPE = r"(?:[^\W\d][\w$]*\.)*[^\W\d][\w$]*"

JAVA = Grammar(
    sign=re.compile(
        r"^\s*at .+\((?:[\w$-]+\.(?:java|kt|kts|scala|groovy|clj)(?::\d+)?|Native Method"
        r"|Unknown Source(?::\d+)?|<generated>|SourceFile(?::\d+)?)[^)\n]*\)"
        r"|^# A fatal error has been detected by the Java Runtime",
        re.MULTILINE,
    ),
    frames=(
        re.compile(
            r"^\s*at (?:[\w.@+-]*/{1,2})*(?P<module>[^\s()]+)\.(?P<function>[^\s().]+)"
            r"\((?P<file>[^():]*)(?::(?P<line>\d+))?[^)]*\)?"
        ),
        re.compile(
            r"^[jJ]\s+(?:\d+\s+(?:%\s*)?(?:c\d|jvmci)?\s*)?"
            r"(?P<module>[\w$.]+)\.(?P<function>[\w$<>]+)\("
        ),
        re.compile(
            r"^[CVv]\s+\[(?P<module>[^+\]\s]+)\+0x[0-9a-f]+\](?:\s+(?P<function>.+?)(?:\+0x[0-9a-f]+)?)?$"
        ),
    ),
    exception=re.compile(
        r"^(?:(?:Caused|Wrapped) by: (?P<type2>" + _TYPE + r")"
        r"|#\s+(?P<type3>SIG[A-Z]+|EXCEPTION_\w+|Internal Error) \(.*"
        r"|(?:.*?\bException in thread \"[^\"]*\" |.*?[:\s])?"
        r"(?P<type>(?:[^\W\d][\w$]*\.)*[A-Z][\w$]*(?:Exception|Error|Throwable|Failure)[\w$]*)"
        r"|(?:Exception in thread \"[^\"]*\" )?(?P<type4>(?:[a-z][\w$]*\.)+[A-Z][\w$]*)"
        r")(?::\s?(?P<message>.*))?$"
    ),
    foreign_modules=modules(
        "java.", "javax.", "jakarta.", "jdk.", "sun.", "com.sun.", "kotlin.", "kotlinx.",
        "scala.", "groovy.", "clojure.", "org.codehaus.groovy.", "android.", "androidx.",
        "com.android.internal.", "dalvik.", "libcore.", "org.springframework.", "org.apache.",
        "org.eclipse.", "org.mortbay.", "org.hibernate.", "org.jboss.", "org.junit.", "org.slf4j.",
        "org.aspectj.", "org.glassfish.", "org.testng.", "org.mockito.", "org.gradle.", "org.xnio.",
        "org.wildfly.", "org.jooq.", "org.flywaydb.", "org.quartz.", "org.thymeleaf.", "org.gwt.",
        "io.netty.", "io.undertow.", "io.micronaut.", "io.quarkus.", "io.vertx.", "io.grpc.",
        "io.reactivex.", "io.ktor.", "io.dropwizard.", "io.opentelemetry.", "io.micrometer.",
        "io.sentry.jvmti.", "reactor.", "rx.", "akka.", "junit.", "play.api.", "play.core.",
        "okhttp3.", "okio.", "retrofit2.", "dagger.", "com.fasterxml.", "com.google.common.",
        "com.google.inject.", "com.google.gson.", "com.google.android.", "com.google.firebase.",
        "com.zaxxer.", "com.mysql.", "com.microsoft.sqlserver.", "com.netflix.", "com.amazonaws.",
        "com.intellij.rt.", "com.ibm.", "com.mongodb.", "com.rabbitmq.", "software.amazon.",
        "oracle.", "weblogic.", "org.postgresql.", "org.mariadb.", "ch.qos.logback.",
        "cats.effect.", "zio.", "feign.", "lombok.", "libjvm", "libc.", "libpthread", "libjava",
        "ld-linux",
    ),
    noise=re.compile(
        r"Generated\w*Accessor\d|FastClassBy|\$Proxy\d|\$\$Lambda|ExternalSyntheticLambda"
        r"|\$r8\$lambda|\$\$Nest\$|\.access\$\d+$|_ClientProxy\.|\$Intercepted\.|\$adapted$"
    ),
    module_rules=name_rules(
        (r"\$\$Lambda.*", f"${LAMBDA}"),
        (r"(?:-?\$\$|D8\$\$)(?:ExternalSynthetic|Synthetic)\w*", f"${LAMBDA}"),
        (r"\$\$(?:EnhancerBy|FastClassBy)\w*(?:\$\$[0-9a-fA-F]+)?.*", ""),
        (r"\$\$SpringCGLIB\$\$\d+.*", ""),
        (r"_\$\$_(?:jvst|javassist|Weld)\w*.*", ""),
        (r"\$(?:HibernateProxy|ByteBuddy|MockitoMock|Proxy)\$?\w*", ""),
        (r"_\$\$_\w+$|\$\$[0-9a-fA-F]{6,}|_(?:ClientProxy|Subclass)$|\$Intercepted$", ""),
        (r"\b(Generated(?:Method|Constructor|SerializationConstructor)Accessor)\d+", r"\1"),
        (r"\$\$?anon(?:fun)?\$\w+(?:\$\d+)*", f"${LAMBDA}"),
        (r"\$(?:fn|eval|reify)__\d+", f"${LAMBDA}"),
        (r"\$_\w+_closure\d+|\$_closure\d+", f"${LAMBDA}"),
        (r"\$\d+(?=\$|$)", "$<anonymous>"),
        # Scala's companion objects and the names of images
        (r"\$$", ""),
        (r"(\.so)[.\d]+$", r"\1"),
    ),
    function_rules=name_rules(
        (r"^lambda\$(\w+?)\$\d+$", rf"\1.{LAMBDA}"),
        (r"^\$?\$?anonfun\$(\w+?)\$\d+.*$", rf"\1.{LAMBDA}"),
        (r"^(?:lambda|\$r8\$lambda)\$[\w-]+$", LAMBDA),
        (r"^(?:access\$|-\$\$Nest\$\w*?)(\w*?)\d*$", r"access\1"),
        (r"^CGLIB\$(\w+?)\$\d+$", r"\1"),
        (r"^ajc\$\w+\$(\w+)$|_aroundBody\d+.*$", r"\1"),
        (r"\$mc\w+\$sp$|\$adapted$", ""),
        (r"^(liftedTree|delayedEndpoint)\w*\$\d+$", r"\1"),
        # Kotlin: default arguments, value classes, and internal functions by build variant
        (r"\$default$|-[0-9A-Za-z_-]{7}$|-impl$|\$\w+_(?:debug|release)$", ""),
        (r"__\d+$", ""),
    ),
)  # fmt: skip
