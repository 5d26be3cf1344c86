// A page of the earlier JavaScript server: a chat over WebSocket with its token in the query, and two event streams
// that rely on the cookie. What each of them is told is kept in `told`. Where the server is, which token and which
// room: in the page's fragment.
import { ChatClient } from "./earlier_chat.mjs";

const { server, token, room } = Object.fromEntries(new URLSearchParams(location.hash.slice(1)));
window.told = { chat: [], events: [], notifications: [] };

const chat = new ChatClient({
  url: `${server.replace("http", "ws")}/api/v1/ws/v2`,
  token,
  tell: (what) => told.chat.push(what),
});
chat.rooms.add(room); // it joins as soon as it is connected
chat.connect();

function listen(name, path) {
  const source = new EventSource(server + path, { withCredentials: true });
  for (const event of ["ready", "new_message", "news", "gap", "closing"]) {
    source.addEventListener(event, ({ data }) => told[name].push({ event, data: JSON.parse(data) }));
  }
  source.onerror = () => source.readyState === EventSource.CLOSED && told[name].push({ event: "ended", data: {} });
}

listen("events", `/api/v1/events/stream?room=${encodeURIComponent(room)}`);
listen("notifications", "/api/v1/notifications/stream");
