"""The audit: its jobs in order, its folder, and the record that they end in."""

from snellen.audits.suite import run_audit

__all__ = ["run_audit"]
