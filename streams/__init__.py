"""The Faust app: thin stream agents over pure cores."""
