"""Who may connect: origins, tokens and the keys to verify them, and the admission that checks all of it.

From outside: `admission` decides about a request, `authenticator` about a token, and `claims.Principal` is
the result. Whoever composes a server also imports `origins` and the errors of its configuration.
"""
