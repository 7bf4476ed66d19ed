"""Feature flags inside a service: an OpenFeature provider that follows Coalmine's rollouts."""
