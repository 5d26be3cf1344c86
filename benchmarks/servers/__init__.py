"""The peer servers: the same chat in other frameworks, each written as its users would write it."""
