// A page's side of the figures: watches hosts with socket.io-client and prints what it is told, a line each.
import { io } from "socket.io-client";

const { port, bearer, watch } = JSON.parse(process.argv[2]);
const socket = io(`http://127.0.0.1:${port}/console`, {
  transports: ["websocket"],
  reconnectionDelay: 100,
  reconnectionDelayMax: 200,
  extraHeaders: { Authorization: `Bearer ${bearer}` },
});
socket.on("connect", () =>
  socket.emit("figures:watch", watch, (answer) => console.log(JSON.stringify(["watch", answer]))),
);
socket.on("figures", (message) => console.log(JSON.stringify(["figures", message])));
socket.on("connect_error", (error) => console.log(JSON.stringify(["refused", error.message])));
