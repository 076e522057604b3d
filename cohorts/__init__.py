"""Shipped cohort definitions, one YAML file a cohort."""
