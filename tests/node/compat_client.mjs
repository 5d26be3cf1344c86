// The earlier chat client in Node: the test suite drives it through stdin, and it tells what happens on stdout, one
// JSON object a line.
//   node compat_client.mjs URL TOKEN
import { createInterface } from "node:readline";
import WebSocket from "ws";
import { ChatClient } from "./earlier_chat.mjs";

const [url, token] = process.argv.slice(2);
const tell = (what) => process.stdout.write(`${JSON.stringify(what)}\n`);

const client = new ChatClient({ url, token, tell, WebSocket });
const commands = createInterface({ input: process.stdin });
commands.on("line", (line) => client.follow(JSON.parse(line)));
client.connect();
