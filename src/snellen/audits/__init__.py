"""The audit: which units and images, which jobs, and the record that they end in; and pictures without one."""

from snellen.audits.gallery import Picture
from snellen.audits.request import Request
from snellen.audits.suite import Interrupted, run_audit

__all__ = ["Interrupted", "Picture", "Request", "run_audit"]
