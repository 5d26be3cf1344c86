"""The load tester: scenarios, an engine that keeps its timetable, and an audit of every delivery."""
