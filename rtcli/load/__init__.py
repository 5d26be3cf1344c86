"""The load tester: scenarios, users that follow them on a fixed schedule, and an audit of every delivery."""
