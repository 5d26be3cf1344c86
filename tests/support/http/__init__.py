"""HTTP as clients of all kinds send it, and how two servers understand it."""
