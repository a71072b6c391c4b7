// A foreign client of the live page: socket.io-client with its default transports, as the page has it.
import { io } from "socket.io-client";

const { url, headers } = JSON.parse(process.argv[2]);
const socket = io(`${url}/dashboard`, { extraHeaders: headers, reconnectionDelay: 100, reconnectionDelayMax: 200 });
const tell = (...parts) => console.log(JSON.stringify(parts));

socket.io.on("open", () => {
  const { engine } = socket.io;
  tell("open", engine.transport.name);
  engine.once("upgrade", (transport) => tell("upgrade", transport.name));
});
socket.on("connect", () => {
  socket.emit("my_event", { data: "I am connected" });
  socket.emit("my_ping");
});
socket.on("my_response", (message) => tell("my_response", message));
socket.on("my_pong", (...payload) => tell("my_pong", payload));
socket.on("disconnect", (reason) => tell("disconnect", reason));
socket.on("connect_error", (error) => tell("connect_error", error.message));
process.stdin.on("end", () => process.exit(0)).resume();
