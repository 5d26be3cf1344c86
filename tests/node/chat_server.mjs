// A plain chat on `ws`, as many have written one: JSON frames of its own, and no memory for who is away.
//   node chat_server.mjs        prints its port; GET /seen tells the names, paths and subprotocols that came
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const channels = new Map();
const seen = { names: [], paths: new Set(), protocols: new Set() };

function membersOf(channel) {
  if (!channels.has(channel)) channels.set(channel, new Set());
  return channels.get(channel);
}

function follow(socket, { action, channel, ...frame }) {
  const answer = (event, more) => socket.send(JSON.stringify({ event, ...more }));
  if (action === "hello") seen.names.push(frame.name);
  else if (action === "enter") membersOf(channel).add(socket), answer("entered", { channel });
  else if (action === "go") membersOf(channel).delete(socket);
  else if (frame.text.split(" ").includes("bad")) answer("no", { ref: frame.ref });
  else {
    const said = JSON.stringify({ event: "said", channel, text: frame.text });
    for (const member of membersOf(channel)) member.send(said);
    answer("ok", { ref: frame.ref });
  }
}

const http = createServer((_request, response) => {
  const tell = { names: seen.names, paths: [...seen.paths], protocols: [...seen.protocols] };
  response.end(JSON.stringify(tell));
});
new WebSocketServer({ server: http }).on("connection", (socket, request) => {
  seen.paths.add(request.url);
  seen.protocols.add(socket.protocol);
  socket.on("message", (raw) => follow(socket, JSON.parse(raw)));
  socket.on("error", () => socket.terminate());
  socket.on("close", () => channels.forEach((members) => members.delete(socket)));
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
