"""Who may connect: origins, tokens and the keys to verify them, and the admission that checks all of it.

From outside: `admission` decides about a request, `authenticator` about a token, and `claims.Principal` is
the result; `revocations` has the list of tokens that are not accepted any more, which the log keeps. CORS and
whoever composes a server import `origins`; connections catch the errors of `authenticator`; `rtcli serve`
reports those of `origins` and `verification_keys`.
"""
