"""How bytes come in and go out: WebSocket (portable and on picows) and event streams."""
