"""Presets: one folder per tool that can be told, each with a ``PRESET``. Listed here, once."""

from __future__ import annotations

from collections.abc import Mapping

from alerting.integrations import (
    alertmanager,
    ansible_eda,
    awx_launch,
    generic,
    github_deployment,
    github_dispatch,
    gitlab_job,
    gitlab_trigger,
    jenkins_build,
    jenkins_gwt,
    launchdarkly,
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
    "generic": generic.PRESET,
    "alertmanager": alertmanager.PRESET,
    "ansible-eda": ansible_eda.PRESET,
    "awx-launch": awx_launch.PRESET,
    "github-deployment": github_deployment.PRESET,
    "github-dispatch": github_dispatch.PRESET,
    "gitlab-job": gitlab_job.PRESET,
    "gitlab-trigger": gitlab_trigger.PRESET,
    "jenkins-build": jenkins_build.PRESET,
    "jenkins-gwt": jenkins_gwt.PRESET,
    "launchdarkly": launchdarkly.PRESET,
    "nomad": nomad.PRESET,
    "pagerduty": pagerduty.PRESET,
    "servicenow": servicenow.PRESET,
    "slack": slack.PRESET,
    "spinnaker-pipeline": spinnaker_pipeline.PRESET,
    "spinnaker-webhook": spinnaker_webhook.PRESET,
    "unleash": unleash.PRESET,
}
"""By the name that the endpoints file uses."""
