"""Reconcile, verify, maintain."""
