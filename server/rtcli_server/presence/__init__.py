"""Who is in which room, on this instance and in the whole deployment.

From outside: `rooms.Rooms` is what connections use; `service` is the interface that `cluster` implements with
`occupancy` and `announcements`.
"""
