"""A local server that behaves like the vendor's page, and fails on request: ``aigc sandbox``."""

from worker.dev.sandbox.app import create_app
from worker.dev.sandbox.rules import Rule, RuleError, parse
from worker.dev.sandbox.server import running, serve
from worker.dev.sandbox.state import Config

__all__ = ["Config", "Rule", "RuleError", "create_app", "parse", "running", "serve"]
