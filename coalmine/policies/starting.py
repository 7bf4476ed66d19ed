"""The files that ``coalmine init`` writes: a first policy with its test, endpoints, an agent."""

from __future__ import annotations

import json
import re
from string import Template

import yaml

from coalmine.policies.suggesting import CLUSTER, EVERYWHERE, MACHINES, Seen, Suggestion
from coalmine.policies.words import number, percent

_NOT_IN_NAME = re.compile(r"[^A-Za-z0-9._-]+")

_POLICY = Template("""\
# yaml-language-server: $$schema=../schemas/policy.schema.json
# How releases of $about are rolled out and judged. Commands that help:
#   coalmine check policies/ --from-telemetry   whether it is right, and its phases long enough
#   coalmine test policies/                     what it decides, by the tests beside it
#   coalmine power, coalmine calibrate          how long a rollout lasts, how often it errs
# $seen
service: $service

# A release that is no worse is rolled back at most once in a hundred rollouts, however often
# anyone looks; one as bad as harm is promoted at most once in twenty.
false_rollback_rate: 0.01
false_promotion_rate: 0.05
tolerance: $tolerance          # so much more of anything is accepted: 0.1 is ten per cent
harm: $harm               # so much more must never be promoted
min_exposures: $min_exposures     # of the canary, before it can be found healthy

# true: a release never seen before, beside a known one, opens a rollout by itself.
# Otherwise: coalmine rollout start $named RELEASE
autodetect: false

metrics:
  - {name: error_rate, of: request, bad: request.bad}
  # crashes so rare harm nobody: else a service that never crashes could not be known as healthy
  - {name: crash_rate, of: request, bad: crash, negligible_rate: $crash_rate}
  - {name: latency, kind: distribution, value: request.duration_ms, tolerance: $latency}
  - {name: crash_groups, kind: groups, bad: crash, weight: 0.5}      # each crash by itself
  - {name: error_logs, kind: groups, bad: log.error, weight: 0.5}    # each template of error lines

# Each phase is left when its minima are met and the release is shown to be no worse.
phases:
  # Checks and load tests drive the canary, no user does: what they do not find in this time they
  # will not find. Without any of them the phase holds, because no data is never health.
  - {name: checks, max_duration: 15m, at_end: promote}
  # People of the house; too few to prove anything, enough to meet what is broken outright.
  - {name: employees, users: internal, min_duration: 30m, max_duration: 4h, at_end: promote}
  # From here on the evidence decides.
  - name: machines
    exposure: $machines_exposure        # the canary's share of the traffic
    min_duration: $machines$at_most
  # Bugs that only load brings show here.
  - {name: cluster, exposure: $cluster_exposure, min_duration: $cluster}
  # A tenth of the traffic stays with the baseline to the end: without it nothing can be compared.
  # The promotion from here gives the canary everything.
  - {name: everywhere, exposure: $everywhere_exposure, min_duration: $everywhere}

# Promotions wait for these; rollbacks never do.
# business_hours: {days: [mon, tue, wed, thu], start: "09:00", end: "16:00", zone: Europe/Berlin}
# freezes:
#   - {start: 2026-12-23T00:00:00Z, end: 2027-01-04T00:00:00Z, reason: end of year, owner: you}
""")

_TESTS = Template("""\
# yaml-language-server: $$schema=../schemas/tests.schema.json
# What $file decides.   coalmine test policies/
endpoints: ../endpoints.yaml

tests:
  - name: three times as many errors are rolled back, and the deploy tool is told
    given:
      every: 10s
      share: 0.1
      both: {request: 500/s, request.bad: 1%, request.duration_ms: 120}
      canary: {request.bad: 3%}
    expect:
      outcome: regressed
      guilty_metric: error_rate
      decisions: [rollback, rollback_verified]
      webhooks:
        deploy-tool: {data: {action: rollback}}

  - name: a good release is not rolled back, whatever both arms suffer together
    given:
      lasts: 30m
      every: 10s
      share: 0.1
      both: {request: 500/s, request.bad: 1%, request.duration_ms: 120}
      changes:
        - {after: 5m, until: 10m, both: {request.bad: 40%, request.duration_ms: 900}}
    expect: {never: [rollback]}
""")

ENDPOINTS = """\
# yaml-language-server: $schema=schemas/endpoints.schema.json
# Who is told of decisions. Every field, the request, how to verify it: docs/webhooks.md
endpoints:
  - name: deploy-tool
    preset: generic               # a signed Standard Webhook; others: docs/webhooks.md
    url: https://deploy.example.com/webhooks
    # whsec_ and the base64 of 24 to 64 random bytes; it never stands here itself
    secret: ${env:COALMINE_WEBHOOK_SECRET}
    actions: [promote, hold, rollback, escalate]
"""

_AGENT = Template("""\
# yaml-language-server: $$schema=schemas/agent.schema.json
# What one machine ships.   coalmine agent --config agent.yaml
state_dir: /var/lib/coalmine/agent
files:
  - paths: [/srv/$directory/*/logs/access.log]
    format: json                  # or combined (Apache, nginx), logfmt, regex
    service: $service
    from_path: /srv/$directory/(?P<release>[^/]+)/
    # your names of fields to ours; those that are the same need no line
    fields: {ts: time, path: route, code: status, took_ms: duration_ms}
  - paths: [/srv/$directory/*/logs/error.log]
    kind: logs
    format: plain
    service: $service
    from_path: /srv/$directory/(?P<release>[^/]+)/
    crashes: true                 # tracebacks in these logs also become crash records
""")


def file_stem(service: str) -> str:
    """The name of a service's policy file, without its ending.

    >>> file_stem("shop/checkout"), file_stem("*")
    ('shop-checkout', 'all')
    """
    return _NOT_IN_NAME.sub("-", service).strip("-.") or "all"


def policy_text(seen: Seen, suggestion: Suggestion) -> str:
    """A commented policy for a service."""
    at_most = suggestion.machines_at_most
    return _POLICY.substitute(
        about="every service without a policy of its own" if seen.service == "*" else seen.service,
        seen=_seen(seen),
        service=_quoted(seen.service),
        named="SERVICE" if seen.service == "*" else seen.service,
        tolerance=f"{suggestion.tolerance:g}",
        latency=f"{min(2 * suggestion.tolerance, suggestion.harm / 2):g}",
        harm=f"{suggestion.harm:g}",
        min_exposures=suggestion.min_exposures,
        crash_rate=f"{suggestion.crash_rate:g}",
        machines_exposure=f"{MACHINES:g}",
        machines=suggestion.machines,
        at_most=f"\n    max_duration: {at_most}\n    at_end: hold" if at_most else "",
        cluster_exposure=f"{CLUSTER:g}",
        cluster=suggestion.cluster,
        everywhere_exposure=f"{EVERYWHERE:g}",
        everywhere=suggestion.everywhere,
    )


def tests_text(service: str) -> str:
    """Two tests of that policy."""
    return _TESTS.substitute(file=f"{file_stem(service)}.yaml")


def agent_text(service: str) -> str:
    """An agent's file with the two logs that most services write."""
    named = "checkout" if service == "*" else service
    return _AGENT.substitute(directory=file_stem(named), service=_quoted(named))


def _seen(seen: Seen) -> str:
    if seen.flow is None:
        return (
            "Its figures are general ones: coalmine init --from-telemetry fits them to a service."
        )
    releases = f"; releases {', '.join(seen.releases)}" if seen.releases else ""
    return (
        f"Its figures fit what telemetry showed: {number(seen.flow.per_s)} requests/s, "
        f"{percent(seen.flow.bad_rate)} of them failed{releases}."
    )


def _quoted(service: str) -> str:
    is_plain = re.fullmatch(r"[A-Za-z][\w.-]*", service) and yaml.safe_load(service) == service
    return service if is_plain else json.dumps(service)  # which YAML reads as well
