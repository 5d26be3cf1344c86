"""Who was there, and what was sent."""
