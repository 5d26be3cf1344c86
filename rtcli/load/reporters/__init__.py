"""The forms in which a result is handed out: for people, for CI systems and for other tools."""
