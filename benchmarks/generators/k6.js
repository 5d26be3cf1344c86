// k6: users that join a room and receive; where everybody talks, each also sends on a timetable of its own. Counted
// between WINDOW_START and WINDOW_END (unix ms), latency from the stamp in the text: the time at which it was due.
import { WebSocket } from "k6/experimental/websockets";
import { Counter, Trend } from "k6/metrics";

const received = new Counter("bench_received");
const latency = new Trend("bench_latency");
const start = Number(__ENV.WINDOW_START);
const end = Number(__ENV.WINDOW_END);
const users = Number(__ENV.USERS);
const rooms = Number(__ENV.ROOMS);
const everyMs = Number(__ENV.SEND_EVERY_MS); // 0: only receives
const padding = "a bird in the hand is worth two in the bush, and so on and so forth, the quick brown fox jumps over";

export const options = {
  scenarios: { receive: { executor: "per-vu-iterations", vus: users, iterations: 1, maxDuration: "10m" } },
  summaryTrendStats: ["med", "p(99)"],
};

function talk(socket, room) {
  let number = 0;
  let due = start - 1000 + (everyMs * __VU) / users;
  const next = () => {
    if (socket.readyState !== 1) return; // what is raised here would end the user before it has counted
    const stamp = `^00:${String(number).padStart(8, "0")}:${String(Math.round(due * 1000)).padStart(16, "0")};`;
    const content = (stamp + padding).slice(0, 100);
    socket.send(JSON.stringify({ type: "chat_message", data: { room, content }, id: `${start}-${__VU}-${number}` }));
    number += 1;
    due += everyMs;
    if (due < end + 500) setTimeout(next, Math.max(0, due - Date.now()));
  };
  setTimeout(next, Math.max(0, due - Date.now()));
}

export default function () {
  let count = 0;
  const room = rooms === 1 ? "bench" : `bench-${__VU % rooms}`;
  const socket = new WebSocket(`${__ENV.URL}?token=${__ENV.TOKEN}`);
  socket.onopen = () => {
    socket.send(JSON.stringify({ type: "join_room", data: { room } }));
    if (everyMs) talk(socket, room);
  };
  socket.onmessage = (event) => {
    const now = Date.now();
    const message = JSON.parse(event.data);
    if (message.type !== "new_message" || now < start || now >= end) return;
    count += 1;
    latency.add(now - Number(message.data.content.slice(13, 29)) / 1000);
  };
  setTimeout(() => {
    received.add(count);
    socket.close();
  }, end + 200 - Date.now());
}

export function handleSummary(data) {
  const trend = data.metrics.bench_latency;
  const result = {
    received: data.metrics.bench_received.values.count,
    p50_ms: trend ? trend.values.med : null,
    p99_ms: trend ? trend.values["p(99)"] : null,
  };
  return { [__ENV.RESULT_FILE]: JSON.stringify(result) };
}
