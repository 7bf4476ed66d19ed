"""Results to Elasticsearch, each document once."""
