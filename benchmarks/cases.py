"""The names of the cases, as the tables show them: programs, targets and report share them."""

ROOMS = {10: "room of 10", 100: "room of 100", 1000: "room of 1 000"}
EIGHT = "8 publishing in a room of 8"
NORMAL, ONE_FROZEN = "all reading", "one frozen"
EQUAL_100, EQUAL_1000 = "100 k/s, room of 100", "100 k/s, room of 1 000"
HALF = "half of saturation, room of 100"
IDLE_5000, IDLE_10000 = "5 000 connections", "10 000 connections"
STREAMS = "1 000 streams"
RECEIVING = "1 000 users receiving"
OWN_FRAMES = "1 000 users receiving, each frame made for its receiver"
JSON_FRAMES = "1 000 users receiving, frames described as JSON"
TALKING = "1 000 users in rooms of 10, everybody talking"
EVENT_STREAMS = "1 000 event streams receiving"
VERSION, READY = "`--version`", "first answer"
ACKED = "8 publishers"
ACKED_ROOMS = {100: "100 rooms, each with a publisher", 1000: "1 000 rooms, each with a publisher"}
