// A chat client as it was written for the earlier JavaScript server, for Node and for browsers: nothing here knows
// of positions, acks or resumption. It follows commands, and tells what happens.
// Commands: {"join": room} {"leave": room} {"chat": [room, content]} {"typing": [room, bool]} {"raw": text}
//           {"ping": true} {"mute": true} (answers no more pings) {"quit": true}

const BASE_DELAY_MS = 50;
const MAX_DELAY_MS = 2_000;

export class ChatClient {
  attempts = 0;
  rooms = new Set();
  muted = false;
  stopped = false;

  constructor({ url, token, tell, WebSocket = globalThis.WebSocket }) {
    Object.assign(this, { url, token, tell, WebSocket });
  }

  connect() {
    this.socket = new this.WebSocket(`${this.url}?token=${encodeURIComponent(this.token)}`);
    this.socket.onopen = () => {
      this.tell({ opened: this.attempts });
      this.attempts = 0;
      for (const room of this.rooms) this.send("join_room", { room });
    };
    this.socket.onmessage = (event) => this.receive(JSON.parse(event.data));
    this.socket.onerror = () => {}; // `close` follows
    this.socket.onclose = (event) => {
      this.tell({ closed: event.code, reason: event.reason });
      if (!this.stopped) this.reconnect();
    };
  }

  reconnect() {
    const delay = Math.min(BASE_DELAY_MS * 2 ** this.attempts, MAX_DELAY_MS);
    this.attempts += 1;
    this.tell({ waiting_ms: delay });
    setTimeout(() => this.connect(), delay);
  }

  receive(message) {
    if (message.type === "ping" && !this.muted) this.socket.send(JSON.stringify({ type: "pong" }));
    this.tell({ received: message });
  }

  send(type, data) {
    this.socket.send(JSON.stringify({ type, data, timestamp: new Date().toISOString() }));
  }

  follow(command) {
    if (command.join) this.rooms.add(command.join), this.send("join_room", { room: command.join });
    if (command.leave) this.rooms.delete(command.leave), this.send("leave_room", { room: command.leave });
    if (command.chat) this.send("chat_message", { room: command.chat[0], content: command.chat[1] });
    if (command.typing) this.send("typing", { room: command.typing[0], is_typing: command.typing[1] });
    if (command.raw) this.socket.send(command.raw);
    if (command.ping) this.send("ping");
    if (command.mute) this.muted = true;
    if (command.quit) {
      this.stopped = true;
      this.socket.close();
    }
  }
}
