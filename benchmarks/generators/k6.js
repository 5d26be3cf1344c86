// k6: users that join a room and receive. Counted between WINDOW_START and WINDOW_END (unix ms), latency from the
// stamp in the text.
import { WebSocket } from "k6/experimental/websockets";
import { Counter, Trend } from "k6/metrics";

const received = new Counter("bench_received");
const latency = new Trend("bench_latency");
const start = Number(__ENV.WINDOW_START);
const end = Number(__ENV.WINDOW_END);

export const options = {
  scenarios: { receive: { executor: "per-vu-iterations", vus: Number(__ENV.USERS), iterations: 1, maxDuration: "10m" } },
  summaryTrendStats: ["med", "p(99)"],
};

export default function () {
  let count = 0;
  const socket = new WebSocket(`${__ENV.URL}?token=${__ENV.TOKEN}`);
  socket.onopen = () => socket.send(JSON.stringify({ type: "join_room", data: { room: "bench" } }));
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
