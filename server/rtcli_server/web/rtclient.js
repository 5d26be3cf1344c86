// The browser client: rooms over WebSocket, event streams over EventSource. See docs/protocol.md.
//
//   import { RealtimeClient } from "/rtclient.js";
//   const client = new RealtimeClient({ token });
//   client.addEventListener("message", ({ detail }) => console.log(detail.sender_name, detail.content));
//   client.join("general", { history: 20 });
//   client.connect();
//   const { offset } = await client.send("general", "hello");
//
// It comes back by itself after a lost connection, goes on where it left off in its rooms and events, and sends
// what was not acknowledged once more under the same id, so that it is published once.

const PATH = "/api/v1/ws/v2";
const MAX_UNSENT = 100;
const STABLE_MS = 5_000; // connected for so long, the next loss begins with a short delay again
const TRY_AGAIN = ["rate_limited", "unavailable", "internal"]; // what was asked is asked again
const TRY_AGAIN_MS = 1_000; // unless the server says when

/** Whether a client that saw this close code should come back by itself. */
export function shouldReconnect(code) {
  if (code >= 4000 && code <= 4999) return code < 4500;
  return ![1000, 1002, 1003, 1007, 1008, 1009].includes(code);
}

/** A delay before attempt `n` (0, 1, …): anything up to an exponentially growing limit ("full jitter"). */
export function backoffMs(n, random = Math.random) {
  return random() * Math.min(30_000, 500 * 2 ** Math.min(n, 16));
}

function websocketUrl(base) {
  const url = new URL(PATH, base);
  url.protocol = url.protocol === "https:" ? "wss:" : "ws:";
  return url.href;
}

function parsePosition(text) {
  const [epoch, offset] = text.split("-");
  return { epoch, offset: Number(offset) };
}

/** How many publications lie between `last` and `position`: negative for a repeat, 0 where that is not known. */
function skipped(last, position) {
  return last?.epoch === position.epoch ? position.offset - last.offset - 1 : 0;
}

/** How many a client misses that goes on at `top`, or null. */
function lostBetween(since, top) {
  return since.epoch === top.epoch && top.offset >= since.offset ? top.offset - since.offset : null;
}

/** The name of a room as servers keep it: what keyboards and file systems give may be decomposed. */
const nfc = (room) => room.normalize("NFC");

const format = ({ epoch, offset }) => `${epoch}-${offset}`;

/** Not crypto.randomUUID(), which is missing where a page comes over plain HTTP. */
function randomHex(bytes) {
  const numbers = crypto.getRandomValues(new Uint8Array(bytes));
  return Array.from(numbers, (number) => number.toString(16).padStart(2, "0")).join("");
}

async function read(token) {
  return typeof token === "function" ? token() : token;
}

class Room {
  constructor(history) {
    this.history = history; // publications wanted by the first join
    this.position = null; // up to where this client has seen everything, or was told what is missing
    this.replays = 0; // messages still to come that are older than `position`
    this.joined = false;
    this.joinId = ""; // of the join_room that is not answered yet
  }
}

/**
 * A connection that lasts. With `events` it also gets the personal events of its user and broadcast events, each
 * once; a page that follows an event stream too gets them there again, at the same position (protocol.md 6).
 * Events (`detail` in brackets):
 *   state [{state: "connecting" | "open" | "waiting" | "closed", retryMs?, code?, reason?,
 *     userId?, instanceId?, connectionId?: while open, what a publisher names this connection by}]
 *   message [data of new_message, with `replayed`] · joined [data of room_joined] · left [{room}]
 *   presence [{user_id, name, room, here}] · typing [data of user_typing] · event [data of event]
 *   direct [data of direct: an event for this connection alone, which has no position]
 *   gap [{room, from, to, lost, reason}; of events, `room` is "~me" or "~all"] · problem [{code, message, id?}]
 */
export class RealtimeClient extends EventTarget {
  #base; #token; #withEvents; #socket = null; #rooms = new Map(); #unsent = new Map();
  #events = new Map(); // up to where events were given, by their channel's name in a cursor
  #attempt = 0; #timer = 0; #watchdog = 0; #openedAt = 0; #silenceMs = 75_000;
  #wanted = false; #retryAfterMs = null; #nextId = 0; #prefix = randomHex(6);
  #refreshing = null; // the new token of this connection, {token, id}

  /** `token`: a string, or a function that gives one (asked again when it expires). */
  constructor({ token, url = location.href, events = false }) {
    super();
    this.#base = url;
    this.#token = token;
    this.#withEvents = events;
    this.state = "closed";
    addEventListener("online", () => this.state === "waiting" && this.#open());
  }

  connect() {
    if (this.#wanted) return;
    this.#wanted = true;
    this.#open();
  }

  close() {
    this.#wanted = false;
    clearTimeout(this.#timer);
    if (this.#socket) this.#socket.close(1000);
    else this.#setState("closed");
  }

  /** Names of rooms are made NFC, here and below; events have them so. */
  join(name, { history = 0 } = {}) {
    const room = nfc(name);
    if (this.#rooms.has(room)) return;
    this.#rooms.set(room, new Room(history));
    this.#join(room);
  }

  leave(name) {
    const room = nfc(name);
    if (this.#rooms.delete(room)) this.#say("leave_room", { room });
  }

  setTyping(name, isTyping) {
    const room = nfc(name);
    if (this.#rooms.get(room)?.joined) this.#say("typing", { room, is_typing: isTyping });
  }

  /** An id for `send`, to tell the message when it comes back. */
  newId() {
    return `${this.#prefix}-${this.#nextId++}`;
  }

  /** Publish. Resolves to {room, offset, epoch, duplicate} once in the log, maybe after a reconnection. */
  send(name, content, id = this.newId()) {
    const room = nfc(name);
    if (this.#unsent.size >= MAX_UNSENT) return Promise.reject(new Error("too many unsent messages"));
    return new Promise((resolve, reject) => {
      this.#unsent.set(id, { room, content, resolve, reject });
      if (this.#rooms.get(room)?.joined) this.#publish(id);
    });
  }

  // -- the connection ---------------------------------------------------------------------------------------

  async #open() {
    clearTimeout(this.#timer);
    this.#setState("connecting");
    let token;
    try {
      token = await read(this.#token);
    } catch (error) {
      return this.#wait({ reason: `no token: ${error.message}` });
    }
    if (!this.#wanted) return this.#setState("closed");
    let socket;
    try {
      socket = new WebSocket(this.#address(), ["rt.v1", `bearer.${token}`]);
    } catch {
      return this.#lost(1008, "invalid_token: not even the form of a token");
    }
    this.#socket = socket;
    this.#retryAfterMs = null;
    socket.onmessage = ({ data }) => this.#receive(JSON.parse(data));
    socket.onclose = ({ code, reason }) => this.#lost(code, reason);
    this.#watch();
  }

  /** It says where the events go on; each join says that of its room. */
  #address() {
    const url = `${websocketUrl(this.#base)}?events=${this.#withEvents ? 1 : 0}`;
    const cursor = Array.from(this.#events, ([key, position]) => `${key}=${format(position)}`).join();
    return cursor ? `${url}&last_event_id=${encodeURIComponent(cursor)}` : url;
  }

  #lost(code, reason) {
    clearTimeout(this.#watchdog);
    this.#socket = this.#refreshing = null;
    for (const room of this.#rooms.values()) room.joined = false;
    if (this.#openedAt && Date.now() - this.#openedAt > STABLE_MS) this.#attempt = 0;
    this.#openedAt = 0;
    if (this.#wanted && shouldReconnect(code)) return this.#wait({ code, reason });
    this.#wanted = false;
    for (const { reject } of this.#unsent.values()) reject(new Error(reason || `closed with ${code}`));
    this.#unsent.clear();
    this.#setState("closed", { code, reason });
  }

  #wait(detail) {
    // What the server asked for comes first; a little more, so that not all clients come at once.
    const retryMs = (this.#retryAfterMs ?? 0) + backoffMs(this.#attempt++);
    this.#timer = setTimeout(() => this.#open(), retryMs);
    this.#setState("waiting", { ...detail, retryMs });
  }

  /** A peer that is half gone never closes: silence for two heartbeats ends the connection from here. */
  #watch() {
    clearTimeout(this.#watchdog);
    const socket = this.#socket;
    this.#watchdog = setTimeout(() => {
      socket.onclose = socket.onmessage = null; // close() would wait for a peer that does not answer
      socket.close();
      this.#lost(1006, "silence");
    }, this.#silenceMs);
  }

  #say(type, data, id) {
    if (this.#socket?.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify({ type, data, id }));
  }

  #join(name) {
    const room = this.#rooms.get(name);
    const { position, history } = room;
    const since = position ? format(position) : undefined;
    room.joinId = this.newId();
    this.#say("join_room", since ? { room: name, since } : { room: name, history }, room.joinId);
  }

  #publish(id) {
    const { room, content } = this.#unsent.get(id);
    this.#say("chat_message", { room, content }, id);
  }

  #sayRefresh() {
    const { token, id } = this.#refreshing;
    this.#say("refresh", { token }, id);
  }

  /** How to ask once more for what was asked with `id`, if that is still wanted then; null: it was nothing such. */
  #again(id) {
    if (this.#unsent.has(id)) {
      return () => this.#rooms.get(this.#unsent.get(id)?.room)?.joined && this.#publish(id);
    }
    if (id && this.#refreshing?.id === id) return () => this.#refreshing?.id === id && this.#sayRefresh();
    for (const [name, room] of this.#rooms) {
      const wanted = () => this.#rooms.get(name) === room && room.joinId === id && !room.joined;
      if (wanted()) return () => wanted() && this.#join(name);
    }
    return null;
  }

  // -- what arrives -----------------------------------------------------------------------------------------

  #receive(message) {
    this.#watch();
    const { type, data = {}, id } = message;
    switch (type) {
      case "pong": return data.connection_id && this.#connected(data);
      case "ping": return this.#say("pong", {});
      case "room_joined": return this.#joined(data);
      case "room_left": return this.#left(data);
      case "new_message": return this.#message(data);
      case "ack": return this.#settle(id, (sent) => sent.resolve(data));
      case "gap": return this.#gap(data);
      case "skipped": return this.#skipped(data);
      case "error": return this.#problem(data, id);
      case "user_joined": return this.#emit("presence", { ...data, here: true });
      case "user_left": return this.#emit("presence", { ...data, here: false });
      case "user_typing": return this.#emit("typing", data);
      case "event": return this.#event(data);
      case "direct": return this.#emit("direct", data);
      case "token_expiring": return this.#refresh();
      case "closing": this.#retryAfterMs = data.retry_after_ms;
    }
  }

  #connected(data) {
    this.#openedAt = Date.now();
    this.#silenceMs = data.heartbeat_s * 2000 + 15_000;
    this.#watch();
    this.#setState("open", {
      userId: data.user_id,
      instanceId: data.instance_id,
      connectionId: data.connection_id,
    });
    for (const [key, state] of Object.entries(data.channels ?? {})) this.#begin(key, state);
    for (const name of this.#rooms.keys()) this.#join(name);
  }

  /** A channel of events begins at `position`, or goes on where it was. */
  #begin(key, { position, recovered, reason }) {
    const since = this.#events.get(key);
    if (since && recovered) return;
    const top = parsePosition(position);
    this.#events.set(key, top);
    if (since) this.#emit("gap", { room: key, to: position, lost: lostBetween(since, top), reason });
  }

  #event(data) {
    const key = data.channel === "all" ? "~all" : "~me";
    if (this.#isNew(key, this.#events.get(key), data)) {
      this.#events.set(key, { epoch: data.epoch, offset: data.offset });
      this.#emit("event", data);
    }
  }

  /** Whether `position` is beyond `last`; tells of what is missing between them. */
  #isNew(room, last, position) {
    const lost = skipped(last, position);
    if (lost > 0) {
      const to = format({ epoch: position.epoch, offset: position.offset - 1 });
      this.#emit("gap", { room, to, lost, reason: "hole" });
    }
    return lost >= 0;
  }

  #joined(data) {
    const room = this.#rooms.get(data.room);
    if (!room) return;
    const top = parsePosition(data.position);
    if (data.recovered === false) {
      const lost = lostBetween(room.position, top);
      this.#emit("gap", { room: data.room, to: data.position, lost, reason: data.reason });
    }
    if (!data.recovered) {
      room.position = top;
      room.replays = data.replayed; // history, asked for by the first join
    }
    room.joined = true;
    this.#emit("joined", data);
    for (const [id, sent] of this.#unsent) if (sent.room === data.room) this.#publish(id);
  }

  #left({ room }) {
    this.#rooms.delete(room);
    for (const [id, sent] of this.#unsent) {
      if (sent.room === room) this.#settle(id, ({ reject }) => reject(new Error("not in the room")));
    }
    this.#emit("left", { room });
  }

  #message(data) {
    const room = this.#rooms.get(data.room);
    if (!room) return;
    if (room.replays > 0) {
      room.replays -= 1;
      return this.#emit("message", { ...data, replayed: true });
    }
    if (!this.#isNew(data.room, room.position, data)) return; // seen already
    room.position = { epoch: data.epoch, offset: data.offset };
    this.#emit("message", { ...data, replayed: false });
  }

  /** A publication that is not for this client: it has its position, so that nothing seems to be missing. */
  #skipped({ room: name, epoch, offset }) {
    const room = this.#rooms.get(name);
    if (room?.replays > 0) {
      room.replays -= 1;
    } else if (room && this.#isNew(name, room.position, { epoch, offset })) {
      room.position = { epoch, offset };
    } else if (this.#events.has(name) && this.#isNew(name, this.#events.get(name), { epoch, offset })) {
      this.#events.set(name, { epoch, offset });
    }
  }

  #gap(data) {
    const room = this.#rooms.get(data.room);
    if (room) room.position = parsePosition(data.to);
    else if (this.#events.has(data.room)) this.#events.set(data.room, parsePosition(data.to));
    this.#emit("gap", data);
  }

  #problem(data, id) {
    const { code, message, retry_after_ms: retryMs } = data;
    const again = TRY_AGAIN.includes(code) ? this.#again(id) : null;
    if (again) return setTimeout(again, retryMs ?? TRY_AGAIN_MS);
    this.#settle(id, (sent) => sent.reject(Object.assign(new Error(message), { code })));
    for (const [name, { joinId, joined }] of this.#rooms) {
      if (joinId === id && !joined) this.#left({ room: name });
    }
    this.#emit("problem", { code, message, id });
  }

  #settle(id, how) {
    const sent = this.#unsent.get(id);
    if (!sent) return;
    this.#unsent.delete(id);
    how(sent);
  }

  async #refresh() {
    const code = "token_expiring";
    if (typeof this.#token !== "function") {
      return this.#emit("problem", { code, message: "The token ends soon" });
    }
    let token;
    try {
      token = await read(this.#token);
    } catch (error) {
      return this.#emit("problem", { code, message: `The token ends soon; no other: ${error.message}` });
    }
    this.#refreshing = { token, id: this.newId() };
    this.#sayRefresh();
  }

  #setState(state, detail = {}) {
    this.state = state;
    this.#emit("state", { state, ...detail });
  }

  #emit(type, detail) {
    this.dispatchEvent(new CustomEvent(type, { detail }));
  }
}

// Statuses after which a stream does not come back (docs/protocol.md, section 4).
const FINAL = [204, 400, 403, 404, 406];

/**
 * Follow an event stream. `onEvent({event, data, id})` is called for each event of the given names.
 * EventSource comes back by itself while the server lets it; when it gives up, this tries again from the
 * last event id, with growing delays, until the server says that it must stay away: `onState("closed",
 * {status})`, with 204 after a kick. Returns a function that ends it.
 */
export function followEvents({
  token,
  rooms = [],
  names = ["new_message"],
  lastEventId = "",
  url = location.href,
  onEvent,
  onState = () => {},
}) {
  let source = null;
  let attempt = 0;
  let openedAt = 0;
  let timer = 0;
  let ended = false;

  const address = async () => {
    const stream = new URL("/api/v1/events/stream", url);
    for (const room of rooms) stream.searchParams.append("room", nfc(room));
    stream.searchParams.set("token", await read(token)); // EventSource sends no header of ours
    if (lastEventId) stream.searchParams.set("last_event_id", lastEventId);
    return stream;
  };
  const end = (detail) => {
    ended = true;
    clearTimeout(timer);
    source?.close();
    onState("closed", detail);
  };
  const wait = () => {
    if (ended) return;
    onState("waiting");
    if (openedAt && Date.now() - openedAt > STABLE_MS) attempt = 0;
    openedAt = 0;
    timer = setTimeout(() => comeBack().catch(wait), backoffMs(attempt++));
  };
  const open = (stream) => {
    if (ended) return;
    source = new EventSource(stream);
    for (const name of new Set(["ready", "gap", "heartbeat", "closing", ...names])) {
      source.addEventListener(name, (event) => {
        lastEventId = event.lastEventId;
        onEvent({ event: name, data: JSON.parse(event.data), id: event.lastEventId });
      });
    }
    source.onopen = () => {
      openedAt = Date.now();
      onState("open");
    };
    source.onerror = () => (source.readyState === EventSource.CLOSED ? wait() : onState("connecting"));
  };
  /** EventSource does not say why it gave up; the same request without a body does. */
  const comeBack = async () => {
    const stream = await address();
    if (ended) return;
    const { status } = await fetch(stream, { method: "HEAD", cache: "no-store" });
    if (ended) return;
    const refused = status === 401 && typeof token !== "function"; // a function may give another one
    if (refused || FINAL.includes(status)) end({ status });
    else open(stream);
  };
  address().then(open).catch(wait);
  return () => end();
}
