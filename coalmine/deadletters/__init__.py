"""Looking at what was set aside, and sending it again."""
