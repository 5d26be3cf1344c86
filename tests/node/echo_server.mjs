// An echo server on `ws`; `close` closes without a code, `die` ends the connection, all else comes back.
//   node echo_server.mjs        prints its port
import { WebSocketServer } from "ws";

const server = new WebSocketServer({ host: "127.0.0.1", port: 0, handleProtocols: (offered) => [...offered].at(-1) });
server.on("connection", (socket) => {
  socket.on("message", (data, isBinary) => {
    const text = data.toString();
    if (text === "close") socket.close();
    else if (text === "die") socket.terminate();
    else socket.send(data, { binary: isBinary });
  });
});
server.on("listening", () => console.log(server.address().port));
