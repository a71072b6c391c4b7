// One Socket.IO connection a page. Any event `x` becomes the DOM event `live:x` on the body; an element asks the
// server by a `live-ask` there, whose detail is what `emit` takes.
import { io } from "socket.io-client";
import "./bell.js";

const BANNER_AFTER_MS = 1500;
const banner = document.querySelector("[data-offline]");
let wasConnected = false;
let bannerTimer = 0;

function tell(name, detail) {
  document.body.dispatchEvent(new CustomEvent(`live:${name}`, { detail, bubbles: true }));
}

function rooms() {
  const named = [...document.querySelectorAll("[data-rooms]")].flatMap((element) => element.dataset.rooms.split(/\s+/));
  return [...new Set(named.filter(Boolean))];
}

/** Joins the page's rooms, then lets the page fetch what it missed: since it was rendered, or while it was cut off. */
async function join(socket) {
  await Promise.all(
    rooms().map((room) =>
      socket
        .timeout(5000)
        .emitWithAck("room:join", { room })
        .catch(() => null),
    ),
  );
  tell(wasConnected ? "resync" : "joined");
  wasConnected = true;
}

/** The server ends the sockets of a session that was ended. */
function end() {
  document.querySelector("[data-ended]").hidden = false;
  tell("ended");
}

function connect() {
  const socket = io("/console", { transports: ["websocket", "polling"] });
  socket.onAny((name, detail) => tell(name, detail));
  socket.on("connect", () => {
    clearTimeout(bannerTimer);
    banner.hidden = true;
    join(socket);
  });
  socket.on("disconnect", (reason) => {
    if (reason === "io client disconnect") return;
    if (reason === "io server disconnect") return end();
    bannerTimer = setTimeout(() => {
      banner.hidden = false;
    }, BANNER_AFTER_MS);
  });
  document.body.addEventListener("live-ask", ({ detail }) => socket.connected && socket.emit(...detail));
  window.addEventListener("pagehide", () => socket.disconnect());
  window.addEventListener("pageshow", (event) => event.persisted && socket.connect());
}

/** Lends the library to a page that has a namespace of its own, over the same connection. */
document.body.addEventListener("live:io", ({ detail }) => detail(io));

if (document.querySelector("[data-live]")) connect();
