"""The audit: which units and images, which jobs, and the record that they end in; and pictures without one."""

from snellen.audit.gallery import Picture
from snellen.audit.request import Request
from snellen.audit.suite import Interrupted, run_audit

__all__ = ["Interrupted", "Picture", "Request", "run_audit"]
