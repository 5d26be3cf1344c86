"""The realtime server: rooms over WebSocket and event streams over SSE, on one log."""
