"""The release health dashboard."""
