"""The HTTP API: what is known of rollouts, held in memory, and the way in for those who steer."""
