"""The engine of the client library: WebSocket with acknowledgements and resume, event streams, HTTP.

Pure parts decide (`conversation`, `backoff`, `failures`); `websocket`, `sse` and `publishing` do the I/O.
What programs use is made of it in `rtcli.library`, and has its names in `rtcli`.

From outside: within rtcli, `websocket`, `sse`, `publishing`, `http`, `endpoint` and `backoff`; what a
program says and is told, `connection`, `events` and `failures`; `history`; any WebSocket, `raw`; what asks
any HTTP server, `net`; and what reads the user's input, `contexts`, `credentials`, `proxies`, `secret_files`
and `validation`.
"""
