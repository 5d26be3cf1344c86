"""What makes several instances one deployment.

From outside: `deployment.Deployment`, the commands in `control` that it hands out, `revocations`, which a
server that is alone has too, and `shared_rates`; the rest are its parts.
"""
