// Follows an event stream with the `eventsource` package and prints the content of each message, a line each.
//   node follow.mjs URL TOKEN
import { EventSource } from "eventsource";

const [url, token] = process.argv.slice(2);
const withToken = (input, init) =>
  fetch(input, { ...init, headers: { ...init.headers, Authorization: `Bearer ${token}` } });
const source = new EventSource(url, { fetch: withToken });
source.addEventListener("ready", () => console.log("READY"));
source.addEventListener("new_message", (event) => console.log(JSON.parse(event.data).content));
source.addEventListener("error", (event) => console.error(`-- ${event.code ?? ""} ${event.message ?? "ended"}`));
