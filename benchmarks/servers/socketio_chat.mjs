// The chat server on Socket.IO 4, WebSocket transport alone: `io.to(room).emit`, as its users write it.
// Usage: BENCH_SECRET=... node socketio_chat.mjs PORT
import { createServer } from "node:http";
import { createRequire } from "node:module";
import { claimsOf, messageOf } from "./token.mjs";

const { Server } = createRequire(`${process.env.BENCH_MODULES}/`)("socket.io");
const http = createServer((_request, response) => response.end("ok"));
const io = new Server(http, { transports: ["websocket"], perMessageDeflate: false, serveClient: false });

io.use((socket, next) => {
  socket.data.claims = claimsOf(socket.request.url);
  next(socket.data.claims === null ? new Error("refused") : undefined);
});
io.on("connection", (socket) => {
  socket.on("join_room", ({ room }) => {
    socket.join(room);
    socket.emit("room_joined", { room });
  });
  socket.on("chat_message", ({ room, content }) => {
    io.to(room).emit("new_message", messageOf(socket.data.claims, room, content));
  });
});

http.listen(Number(process.argv[2]), "127.0.0.1", 4096);
