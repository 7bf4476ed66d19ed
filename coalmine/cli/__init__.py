"""The coalmine command."""
