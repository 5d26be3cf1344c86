// The chat server on Bun: uWebSockets' own publish, which encodes once and writes to every subscriber in C++.
// Usage: BENCH_SECRET=... bun bun_chat.mjs PORT
import { claimsOf, messageOf } from "./token.mjs";

Bun.serve({
  hostname: "127.0.0.1",
  port: Number(process.argv[2]),
  fetch(request, server) {
    if (request.headers.get("upgrade") !== "websocket") return new Response("ok");
    const claims = claimsOf(request.url);
    if (claims === null) return new Response("refused", { status: 401 });
    return server.upgrade(request, { data: { claims, server } }) ? undefined : new Response("no", { status: 400 });
  },
  websocket: {
    perMessageDeflate: false,
    publishToSelf: true,
    idleTimeout: 960,
    message(member, raw) {
      const { type, data } = JSON.parse(raw);
      if (type === "join_room") {
        member.subscribe(data.room);
        member.send(JSON.stringify({ type: "room_joined", data: { room: data.room } }));
        return;
      }
      const outgoing = JSON.stringify({ type: "new_message", data: messageOf(member.data.claims, data.room, data.content) });
      member.data.server.publish(data.room, outgoing);
    },
  },
});
