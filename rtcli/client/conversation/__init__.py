"""What a client knows over all its connections, and what it says next: pure, without sockets and clocks.

From outside: `state.ClientState`.
"""
