"""The demo of the commerce example: ``cgk jobs demo``.

The parent process sends a real shop's orders and fires schedules in virtual time; worker processes run the handlers. At the
end the books of every tenant are compared with the file, to the penny.
"""

from cgk_jobs.examples.commerce.demo.replay import run_demo
from cgk_jobs.examples.commerce.demo.result import DemoOptions, DemoResult, Progress

__all__ = ["DemoOptions", "DemoResult", "Progress", "run_demo"]
