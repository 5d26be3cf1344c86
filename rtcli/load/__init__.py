"""The load tester: scenarios, users that follow them on a fixed schedule, and an audit of every delivery.

From outside: `rtcli.apps` and `rtcli.cli` import `scenario`, `run`, `results`, `reporters` and `metrics`
from here, of `core` what a run is configured with, and of `users` the probe.

By other packages: `rtcli.load.adapters`, by their adapters.
"""
