// Counts what comes on Artillery's sockets between WINDOW_START and WINDOW_END (unix ms). Its workers are threads:
// each writes a file of its own when the window is over.
const { writeFileSync } = require("node:fs");
const { threadId } = require("node:worker_threads");

const start = Number(process.env.WINDOW_START);
const end = Number(process.env.WINDOW_END);
const latencies = [];

setTimeout(() => {
  latencies.sort((a, b) => a - b);
  writeFileSync(`${process.env.RESULT_FILE}.${threadId}`, JSON.stringify(latencies));
}, end + 200 - Date.now());

function address(params, context, done) {
  params.target = `${process.env.URL}?token=${process.env.TOKEN}`;
  return done();
}

function listen(context, events, done) {
  context.ws.on("message", (raw) => {
    const now = Date.now();
    const message = JSON.parse(raw);
    if (message.type !== "new_message" || now < start || now >= end) return;
    latencies.push(now - Number(message.data.content.slice(13, 29)) / 1000);
  });
  return done();
}

function hold(context, events, done) {
  setTimeout(done, end + 1500 - Date.now());
}

module.exports = { address, listen, hold };
