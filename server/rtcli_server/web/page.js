// The chat page. Everything that comes from others reaches the document through textContent alone.

import { RealtimeClient } from "/rtclient.js";

const MAX_SHOWN = 500; // messages per room
const TYPING_EVERY_MS = 3_000;
const HISTORY = 50;
const $ = (id) => document.getElementById(id);

let client = null;
let me = null; // our user id, once the server has said it
let current = ""; // the room that is shown
const rooms = new Map(); // name → {items: [element], members: Map, count, typing: Map, unread}

// -- signing in --------------------------------------------------------------------------------------------

/** `/#token=…&room=…` signs in at once. The token leaves the address bar, and with it the history. */
function fromAddress() {
  const given = new URLSearchParams(location.hash.slice(1));
  for (const [name, value] of new URLSearchParams(location.search)) given.append(name, value);
  if (given.has("token")) history.replaceState(null, "", location.pathname);
  const token = given.get("token") ?? sessionStorage.getItem("token");
  return { token, room: given.get("room") ?? "general" };
}

function signIn(token, room) {
  sessionStorage.setItem("token", token);
  client = new RealtimeClient({ token });
  for (const [type, handle] of Object.entries(HANDLERS)) {
    client.addEventListener(type, ({ detail }) => handle(detail));
  }
  $("sign-in").hidden = true;
  $("chat").hidden = false;
  join(room);
  client.connect();
  $("content").focus();
}

function signOut(problem = "") {
  sessionStorage.removeItem("token");
  const old = client;
  client = null;
  old?.close();
  rooms.clear();
  $("chat").hidden = true;
  $("sign-in").hidden = false;
  $("sign-in-problem").textContent = problem;
  $("token").value = "";
}

// -- what the server says ----------------------------------------------------------------------------------

const HANDLERS = {
  state: showState,
  joined({ room, members, member_count: count }) {
    const known = rooms.get(room);
    known.members = new Map(members.map((member) => [String(member.user_id), member.name]));
    known.count = count;
    if (room === current) showMembers();
  },
  left({ room }) {
    rooms.delete(room);
    if (room === current) show(rooms.keys().next().value ?? "");
    showRooms();
  },
  message: addMessage,
  presence({ room, user_id: user, name, here }) {
    const known = rooms.get(room);
    if (!known) return;
    const id = String(user);
    if (here === known.members.has(id)) return;
    if (here) known.members.set(id, name);
    else known.members.delete(id);
    known.count += here ? 1 : -1;
    known.typing.delete(id);
    addNotice(room, `${name} ${here ? "joined" : "left"}`);
    if (room === current) showMembers();
  },
  typing({ room, user_id: user, name, is_typing: isTyping }) {
    const known = rooms.get(room);
    if (!known) return;
    if (isTyping) known.typing.set(String(user), name);
    else known.typing.delete(String(user));
    if (room === current) showTyping();
  },
  gap({ room, lost, reason }) {
    const what = lost ? `${lost} messages are missing` : "Messages may be missing";
    addNotice(room, `${what} (${reason})`, "gap");
  },
  problem({ code, message }) {
    addNotice(current, `${message} (${code})`, "gap");
  },
};

function showState({ state, retryMs, reason, userId }) {
  if (userId !== undefined) me = userId;
  if (state === "closed" && client) return signOut(reason || "The connection was closed");
  const texts = {
    open: "connected",
    connecting: "connecting…",
    waiting: `connection lost, trying again in ${Math.ceil((retryMs ?? 0) / 1000)} s`,
    closed: "closed",
  };
  $("state").dataset.state = state;
  $("state").setAttribute("aria-label", state);
  $("state-text").textContent = texts[state];
  $("me").textContent = me === null ? "" : `you are ${me}`;
}

// -- rooms -------------------------------------------------------------------------------------------------

/** The client tells of rooms by their NFC. */
function join(text) {
  const name = text.normalize("NFC");
  if (!rooms.has(name)) {
    rooms.set(name, { items: [], members: new Map(), count: 0, typing: new Map(), unread: 0 });
    client.join(name, { history: HISTORY });
  }
  show(name);
}

function show(name) {
  current = name;
  const room = rooms.get(name);
  if (room) room.unread = 0;
  $("messages").replaceChildren(...(room?.items ?? []));
  $("messages").scrollTop = $("messages").scrollHeight;
  document.title = name ? `${name} – rtcli chat` : "rtcli chat";
  showRooms();
  showMembers();
  showTyping();
}

function showRooms() {
  $("rooms").replaceChildren(
    ...[...rooms].map(([name, { unread }]) => {
      const button = element("button", "", name);
      button.type = "button";
      button.setAttribute("aria-current", String(name === current));
      if (unread) button.dataset.unread = unread;
      button.addEventListener("click", () => show(name));
      const item = document.createElement("li");
      item.append(button);
      return item;
    }),
  );
}

function showMembers() {
  const room = rooms.get(current);
  $("member-count").textContent = room ? room.count : "";
  $("members").replaceChildren(...[...(room?.members.values() ?? [])].map(named));
}

function named(name) {
  const item = document.createElement("li");
  item.append(element("bdi", "", name));
  return item;
}

function showTyping() {
  const names = [...(rooms.get(current)?.typing.values() ?? [])];
  $("typing").textContent = names.length ? `${names.slice(0, 3).join(", ")} typing…` : "";
}

// -- messages ----------------------------------------------------------------------------------------------

function element(name, className, text) {
  const made = document.createElement(name);
  made.className = className;
  made.textContent = text;
  return made;
}

function bubble(name, content, when, className) {
  const item = document.createElement("li");
  item.className = `message ${className}`;
  const head = document.createElement("div");
  const time = element("time", "", when.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }));
  time.dateTime = when.toISOString();
  head.append(element("bdi", "who", name), time);
  const text = element("p", "", content);
  text.dir = "auto";
  item.append(head, text);
  return item;
}

function add(roomName, item) {
  const room = rooms.get(roomName);
  if (!room) return;
  room.items.push(item);
  const gone = room.items.length > MAX_SHOWN ? room.items.shift() : null;
  if (roomName !== current) return;
  const list = $("messages");
  const atEnd = list.scrollHeight - list.scrollTop - list.clientHeight < 40;
  gone?.remove();
  list.append(item);
  if (atEnd) list.scrollTop = list.scrollHeight;
}

const ownUnsent = new Map(); // id → the element of what we sent, until it comes back as everyone gets it

function addMessage({ room, content, sender_id: sender, sender_name: name, timestamp, id }) {
  const known = rooms.get(room);
  if (!known) return;
  known.typing.delete(String(sender));
  const own = sender === me;
  if (own && ownUnsent.has(id)) {
    take(known, ownUnsent.get(id));
    ownUnsent.delete(id);
  }
  add(room, bubble(name, content, new Date(timestamp), own ? "own" : ""));
  if (room === current) return showTyping();
  known.unread += 1;
  showRooms();
}

function take(room, item) {
  room.items = room.items.filter((other) => other !== item);
  item.remove();
}

function addNotice(room, text, className = "") {
  add(room, element("li", `notice ${className}`, text));
}

async function send(room, content) {
  const item = bubble("me", content, new Date(), "own unsent");
  const id = client.newId();
  ownUnsent.set(id, item);
  add(room, item);
  $("messages").scrollTop = $("messages").scrollHeight;
  try {
    await client.send(room, content, id);
  } catch (error) {
    item.classList.add("failed");
    addNotice(room, `Not sent: ${error.message}`, "gap");
  }
}

// -- what the user does ------------------------------------------------------------------------------------

let typingSentAt = 0;

$("content").addEventListener("input", () => {
  const now = Date.now();
  if (!$("content").value || now - typingSentAt < TYPING_EVERY_MS) return;
  typingSentAt = now;
  client.setTyping(current, true);
});

$("content").addEventListener("keydown", (event) => {
  if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
  event.preventDefault();
  $("send-form").requestSubmit();
});

$("send-form").addEventListener("submit", (event) => {
  event.preventDefault();
  const content = $("content").value;
  if (!content.trim() || !current) return;
  $("content").value = "";
  if (typingSentAt) client.setTyping(current, false);
  typingSentAt = 0;
  send(current, content);
});

$("join-form").addEventListener("submit", (event) => {
  event.preventDefault();
  join($("room").value.trim());
  $("room").value = "";
});

$("sign-in-form").addEventListener("submit", (event) => {
  event.preventDefault();
  signIn($("token").value.trim(), $("first-room").value.trim());
});

$("sign-out").addEventListener("click", () => signOut());

const given = fromAddress();
$("first-room").value = given.room;
if (given.token) signIn(given.token, given.room);
