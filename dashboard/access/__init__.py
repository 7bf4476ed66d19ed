"""Who may look at the dashboard: users, sessions, the gate before every request."""
