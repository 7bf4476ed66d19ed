"""What SDKs send over HTTP: Sentry's envelopes and OpenTelemetry's JSON."""
