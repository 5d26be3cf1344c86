"""What makes several instances one deployment.

From outside: `deployment.Deployment` alone; the rest are its parts.
"""
