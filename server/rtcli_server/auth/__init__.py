"""Who may connect: tokens, the keys they are verified with, origins, and admission in that order.

From outside: `admission` decides about a connection, `authenticator` about a token, `claims.Principal` is
the result.
"""
