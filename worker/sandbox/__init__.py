"""A local server that behaves like the vendor's page, and fails on request: ``aigc sandbox``."""

from worker.sandbox.app import create_app
from worker.sandbox.rules import Rule, RuleError, parse
from worker.sandbox.server import running, serve
from worker.sandbox.state import Config

__all__ = ["Config", "Rule", "RuleError", "create_app", "parse", "running", "serve"]
