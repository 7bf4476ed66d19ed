"""What presets that speak to the Kubernetes API share: finding the template of a release again.

``kubectl rollout undo`` goes back to the revision before the last, which is the bad one when it is
asked twice, and another canary where two were tried in a row. So the revision is found by what it
runs: the baseline's release, in a label or in an image's tag.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec

from alerting.integrations import preset
from alerting.integrations.conversation import (
    Answer,
    Conversation,
    Delivered,
    Ending,
    HttpRequest,
    Refused,
    Retry,
    at,
    json_body,
    path,
    taken,
)
from contracts.results import Decision

_OBJECT_BYTES, _LIST_BYTES = 1024 * 1024, 8 * 1024 * 1024

Name = Annotated[str, msgspec.Meta(pattern=r"^[a-z0-9]([a-z0-9.-]*[a-z0-9])?$")]


class Options(preset.Options, frozen=True, kw_only=True):
    """Which object, and where the release's name stands in it."""

    namespace: Name
    name: str = ""
    """Of the object; by default the service's."""
    container: str = ""
    """Whose image's tag is the release; by default any container's."""
    label: str = "app.kubernetes.io/version"
    """Of the pods; where it is there it is the release, and images are not looked at."""


@dataclass(frozen=True, slots=True)
class Kind:
    """One kind of object that keeps its old templates in replica sets."""

    group: str
    """Path of its API."""
    plural: str
    hash_label: str
    """That its controller adds to the templates of replica sets."""
    revision: str
    """Annotation that numbers replica sets."""
    kept: frozenset[str] = frozenset()
    """Annotations of the object that a revision does not bring back; empty where none come back."""


def object_path(kind: Kind, options: Options, decision: Decision) -> str:
    """Where the object is."""
    name = options.name or decision.service
    return kind.group + path("namespaces", options.namespace, kind.plural, name)


def undo(kind: Kind, decision: Decision, options: Options) -> Conversation:
    """Find the baseline's template among the replica sets, and make it the object's again."""
    where = object_path(kind, options, decision)
    read = yield HttpRequest(path=where, answer_bytes=_OBJECT_BYTES)
    if not read.is_ok:
        return taken(read)
    found = read.json()
    if ending := _without_a_patch(found, decision, options):
        return ending
    listed = yield HttpRequest(
        path="/apis/apps/v1" + path("namespaces", options.namespace, "replicasets"),
        query={"labelSelector": _selector(at(found, "spec", "selector"))},
        answer_bytes=_LIST_BYTES,
    )
    if not listed.is_ok:
        return taken(listed)
    old = _latest(kind, found, listed.json("items") or [], decision, options)
    if old is None:
        return Refused(f"no replica set of {decision.baseline} is left")
    patched = yield HttpRequest(
        method="PATCH",
        path=where,
        headers={"content-type": "application/json-patch+json"},
        body=json_body(_patch(kind, found, old)),
        answer_bytes=_OBJECT_BYTES,
    )
    return _patched(patched)


def _without_a_patch(found: Any, decision: Decision, options: Options) -> Ending | None:  # noqa: ANN401 - any JSON
    template = at(found, "spec", "template")
    if runs(template, decision.baseline, options):
        return Delivered()  # as it is after the first of two attempts
    if not runs(template, decision.canary, options):
        return Refused(f"it runs neither {decision.canary} nor {decision.baseline}")
    return Refused("it is paused: nothing would follow") if at(found, "spec", "paused") else None


def runs(template: Any, release: str, options: Options) -> bool:  # noqa: ANN401 - any JSON
    """Whether pods of this template are of a release.

    >>> pod = {"spec": {"containers": [{"image": "r.example:5000/shop:1.5.0@sha256:0"}]}}
    >>> shop = Options(namespace="shop")
    >>> runs(pod, "1.5.0", shop), runs(pod, "1.4.2", shop)
    (True, False)
    """
    labels = at(template, "metadata", "labels") or {}
    if options.label in labels:
        return bool(labels[options.label] == release)
    return any(
        _tag(str(container.get("image", ""))) == release
        for container in at(template, "spec", "containers") or []
        if options.container in {"", container.get("name")}
    )


def _tag(image: str) -> str:
    return image.partition("@")[0].rpartition("/")[2].partition(":")[2]


def _selector(selector: Any) -> str:  # noqa: ANN401 - any JSON
    """A label selector as a query has it.

    >>> no_db = {"key": "tier", "operator": "NotIn", "values": ["db"]}
    >>> _selector({"matchLabels": {"app": "shop"}, "matchExpressions": [no_db]})
    'app=shop,tier notin (db)'
    """
    terms = [f"{name}={value}" for name, value in (at(selector, "matchLabels") or {}).items()]
    for one in at(selector, "matchExpressions") or []:
        values = f"({','.join(one.get('values', []))})"
        terms.append(
            {
                "In": f"{one['key']} in {values}",
                "NotIn": f"{one['key']} notin {values}",
                "Exists": one["key"],
                "DoesNotExist": f"!{one['key']}",
            }.get(one["operator"], one["key"])
        )
    return ",".join(terms)


def _latest(
    kind: Kind,
    found: Any,  # noqa: ANN401 - any JSON
    sets: list[Any],
    decision: Decision,
    options: Options,
) -> Any:  # noqa: ANN401 - any JSON
    """The newest replica set of the baseline that this very object owns."""
    uid = at(found, "metadata", "uid")
    mine = [
        one
        for one in sets
        if any(
            owner.get("uid") == uid and owner.get("controller")
            for owner in at(one, "metadata", "ownerReferences") or []
        )
        and runs(at(one, "spec", "template"), decision.baseline, options)
    ]
    return max(mine, key=lambda one: _revision(kind, one), default=None)


def _revision(kind: Kind, one: Any) -> int:  # noqa: ANN401 - any JSON
    text = str(at(one, "metadata", "annotations", kind.revision) or "")
    return int(text) if text.isascii() and text.isdigit() else 0


def _patch(kind: Kind, found: Any, old: Any) -> list[dict[str, Any]]:  # noqa: ANN401 - any JSON
    """As ``kubectl`` makes it, and only where nobody changed the object since it was read."""
    template = at(old, "spec", "template")
    labels = dict(at(template, "metadata", "labels") or {})
    labels.pop(kind.hash_label, None)
    template = {**template, "metadata": {**template.get("metadata", {}), "labels": labels}}
    version = at(found, "metadata", "resourceVersion")
    patch: list[dict[str, Any]] = [
        {"op": "test", "path": "/metadata/resourceVersion", "value": version},
        {"op": "replace", "path": "/spec/template", "value": template},
    ]
    if kind.kept:
        annotations = _annotations(kind, at(found, "metadata"), at(old, "metadata"))
        patch.append({"op": "add", "path": "/metadata/annotations", "value": annotations})
    return patch


def _annotations(kind: Kind, now: Mapping[str, Any], then: Mapping[str, Any]) -> dict[str, str]:
    kept = {k: v for k, v in (now.get("annotations") or {}).items() if k in kind.kept}
    back = {k: v for k, v in (then.get("annotations") or {}).items() if k not in kind.kept}
    return {**back, **kept}


def _patched(answer: Answer) -> Ending:
    if answer.status in {409, 422}:  # the test on the version failed: somebody was faster
        return Retry("changed meanwhile")
    return taken(answer)
