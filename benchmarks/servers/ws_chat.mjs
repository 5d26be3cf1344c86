// The chat server on `ws` (Node): the text is made once per message and sent to each member.
// Usage: BENCH_SECRET=... node ws_chat.mjs PORT
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { claimsOf, messageOf } from "./token.mjs";

const { WebSocketServer } = createRequire(`${process.env.BENCH_MODULES}/`)("ws");
const rooms = new Map();
const http = createServer((_request, response) => response.end("ok"));
const sockets = new WebSocketServer({ noServer: true, perMessageDeflate: false });

http.on("upgrade", (request, socket, head) => {
  const claims = claimsOf(request.url);
  if (claims === null) return socket.destroy();
  sockets.handleUpgrade(request, socket, head, (member) => serve(member, claims));
});

function serve(member, claims) {
  const joined = new Set();
  member.on("message", (raw) => {
    const { type, data } = JSON.parse(raw);
    if (type === "join_room") {
      if (!rooms.has(data.room)) rooms.set(data.room, new Set());
      rooms.get(data.room).add(member);
      joined.add(data.room);
      member.send(JSON.stringify({ type: "room_joined", data: { room: data.room } }));
      return;
    }
    const outgoing = Buffer.from(JSON.stringify({ type: "new_message", data: messageOf(claims, data.room, data.content) }));
    for (const other of rooms.get(data.room)) other.send(outgoing, { binary: false });
  });
  member.on("error", () => member.terminate());
  member.on("close", () => {
    for (const room of joined) rooms.get(room).delete(member);
  });
}

http.listen(Number(process.argv[2]), "127.0.0.1", 4096);
