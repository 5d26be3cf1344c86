"""Write deploy/redis.acl: the Redis user of the server, with the rights that it needs and no other."""

from __future__ import annotations

import sys
from pathlib import Path

from rtcli_server.broker.redis.wire import REQUIRED_ACL

FILE = Path(__file__).resolve().parents[1] / "deploy" / "redis.acl"
TEXT = f"user default off\nuser rtcli on >change-me {REQUIRED_ACL}\n"

if __name__ == "__main__":
    if sys.argv[1:] == ["--check"]:
        sys.exit(FILE.read_text(encoding="utf-8") != TEXT)
    FILE.write_text(TEXT, encoding="utf-8")
