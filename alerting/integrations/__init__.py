"""Presets: one folder per tool that can be told, each with a ``PRESET``. Listed here, once."""

from __future__ import annotations

from collections.abc import Mapping

from alerting.integrations import (
    alertmanager,
    ansible_eda,
    argo_rollouts_abort,
    argo_rollouts_undo,
    argocd_rollback,
    awx_launch,
    flagd,
    generic,
    github_deployment,
    github_dispatch,
    gitlab_job,
    gitlab_trigger,
    haproxy_dataplane,
    haproxy_runtime,
    jenkins_build,
    jenkins_gwt,
    k8s_rollout_undo,
    launchdarkly,
    nginx,
    nomad,
    pagerduty,
    servicenow,
    slack,
    spinnaker_pipeline,
    spinnaker_webhook,
    unleash,
)
from alerting.integrations.preset import Preset

PRESETS: Mapping[str, Preset] = {
    "alertmanager": alertmanager.PRESET,
    "ansible-eda": ansible_eda.PRESET,
    "argo-rollouts-abort": argo_rollouts_abort.PRESET,
    "argo-rollouts-undo": argo_rollouts_undo.PRESET,
    "argocd-rollback": argocd_rollback.PRESET,
    "awx-launch": awx_launch.PRESET,
    "flagd": flagd.PRESET,
    "generic": generic.PRESET,
    "github-deployment": github_deployment.PRESET,
    "github-dispatch": github_dispatch.PRESET,
    "gitlab-job": gitlab_job.PRESET,
    "gitlab-trigger": gitlab_trigger.PRESET,
    "haproxy-dataplane": haproxy_dataplane.PRESET,
    "haproxy-runtime": haproxy_runtime.PRESET,
    "jenkins-build": jenkins_build.PRESET,
    "jenkins-gwt": jenkins_gwt.PRESET,
    "k8s-rollout-undo": k8s_rollout_undo.PRESET,
    "launchdarkly": launchdarkly.PRESET,
    "nginx": nginx.PRESET,
    "nomad": nomad.PRESET,
    "pagerduty": pagerduty.PRESET,
    "servicenow": servicenow.PRESET,
    "slack": slack.PRESET,
    "spinnaker-pipeline": spinnaker_pipeline.PRESET,
    "spinnaker-webhook": spinnaker_webhook.PRESET,
    "unleash": unleash.PRESET,
}
"""By the name that the endpoints file uses."""
