"""rtcli: the command line, the client library and the load tester for realtime deployments."""

from rtcli._version import __version__

__all__ = ["__version__"]
