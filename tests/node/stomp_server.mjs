// A STOMP 1.2 broker of the simple kind, over WebSocket: topics that keep nothing, receipts, and errors that end the
// connection, as the specification wants it. Nobody may send to /topic/forbidden.
//   node stomp_server.mjs        prints its port
import { createServer } from "node:http";
import { WebSocketServer } from "ws";

const ESCAPES = { "\\": "\\\\", "\n": "\\n", "\r": "\\r", ":": "\\c" };
const PLAIN = { "\\\\": "\\", "\\n": "\n", "\\r": "\r", "\\c": ":" };
const escape = (text) => text.replace(/[\\\n\r:]/g, (found) => ESCAPES[found]);
const unescape = (text) =>
  text.replace(/\\./g, (found) => PLAIN[found] ?? fail(`undefined escape sequence ${found}`));
const subscribers = new Map(); // destination -> Map of socket -> subscription id
let messages = 0;

class StompError extends Error {}
const fail = (text) => {
  throw new StompError(text);
};

function frame(command, headers, body = "") {
  const lines = Object.entries(headers).map(([name, value]) => `${escape(name)}:${escape(String(value))}`);
  return [command, ...lines, "", `${body}\0`].join("\n");
}

function parse(text) {
  const split = text.indexOf("\n\n");
  if (split < 0 || !text.endsWith("\0")) fail("not a frame");
  const [command, ...lines] = text.slice(0, split).split("\n");
  const headers = {};
  for (const line of lines) {
    const colon = line.indexOf(":");
    const [name, value] = [line.slice(0, colon), line.slice(colon + 1)];
    headers[command === "CONNECT" ? name : unescape(name)] ??= command === "CONNECT" ? value : unescape(value);
  }
  return { command, headers, body: text.slice(split + 2, -1) };
}

function membersOf(destination) {
  if (!subscribers.has(destination)) subscribers.set(destination, new Map());
  return subscribers.get(destination);
}

const COMMANDS = {
  CONNECT(socket, { headers }) {
    if (!headers["accept-version"]?.split(",").includes("1.2")) fail("only 1.2 is spoken here");
    socket.open = true;
    socket.send(frame("CONNECTED", { version: "1.2", session: `s${++messages}`, "heart-beat": "0,0" }));
  },
  SUBSCRIBE(socket, { headers }) {
    if (!headers.id || !headers.destination) fail("id and destination are needed");
    membersOf(headers.destination).set(socket, headers.id);
  },
  UNSUBSCRIBE(socket, { headers }) {
    const found = [...subscribers.values()].find((members) => members.get(socket) === headers.id);
    if (!found?.delete(socket)) fail(`no subscription ${headers.id}`);
  },
  SEND(_socket, { headers, body }) {
    if (headers.destination === "/topic/forbidden") fail("forbidden");
    const number = ++messages;
    for (const [member, subscription] of membersOf(headers.destination)) {
      const own = { subscription, "message-id": number, destination: headers.destination };
      member.send(frame("MESSAGE", { ...own, "content-type": headers["content-type"] ?? "" }, body));
    }
  },
  DISCONNECT() {},
};

function receive(socket, text) {
  if (/^\r?\n$/.test(text)) return; // a heart-beat
  let asked;
  try {
    asked = parse(text);
    const command = COMMANDS[asked.command] ?? fail(`unknown command ${asked.command}`);
    if (!socket.open && asked.command !== "CONNECT") fail("not connected");
    command(socket, asked);
    if (asked.headers.receipt) socket.send(frame("RECEIPT", { "receipt-id": asked.headers.receipt }));
  } catch (error) {
    if (!(error instanceof StompError)) throw error;
    const receipt = asked?.headers.receipt;
    socket.send(frame("ERROR", { message: error.message, ...(receipt && { "receipt-id": receipt }) }));
    socket.close();
  }
}

const http = createServer((_request, response) => response.end("STOMP is spoken at /ws\n"));
const options = { server: http, path: "/ws", handleProtocols: (offered) => offered.has("v12.stomp") && "v12.stomp" };
new WebSocketServer(options).on("connection", (socket) => {
  socket.on("message", (raw) => receive(socket, raw.toString()));
  socket.on("error", () => socket.terminate());
  socket.on("close", () => subscribers.forEach((members) => members.delete(socket)));
});
http.listen(0, "127.0.0.1", () => console.log(http.address().port));
