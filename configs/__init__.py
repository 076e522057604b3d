"""Shipped run configurations, one YAML file a run."""
