"""Times of day as a person at this terminal reads them."""

from __future__ import annotations

from datetime import UTC, datetime

from rtcli.terminal.escaping import escape


def clock_time(timestamp: str) -> str:
    """The local time of day of an RFC 3339 timestamp; an unreadable one as it is, escaped."""
    try:
        moment = datetime.fromisoformat(timestamp)
    except ValueError:
        return escape(timestamp, limit=32)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone().strftime("%H:%M:%S")
