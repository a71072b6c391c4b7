// As the foreign page: default transports, JSON within a text, values put into the page as HTML, every key needed.
const put = (id, html) => {
  document.getElementById(id).innerHTML = html;
};
const gigabytes = (bytes) => `${(bytes / 1e9).toFixed(2)} GB`;
const trips = [];
let pingedAt = 0;

globalThis.received = 0;
const socket = globalThis.io("/dashboard");
socket.io.on("open", () => {
  put("transports", socket.io.engine.transport.name);
  socket.io.engine.once("upgrade", (transport) => put("transports", `polling, then ${transport.name}`));
});

socket.on("connect", () => {
  put("lamp", "green");
  socket.emit("my_event", { data: "I'm connected!" });
  ping();
});
for (const event of ["disconnect", "error", "connect_error"]) socket.on(event, () => put("lamp", "red"));

function ping() {
  pingedAt = Date.now();
  socket.emit("my_ping");
}
setInterval(ping, 5000);
socket.on("my_pong", () => {
  trips.push(Date.now() - pingedAt);
  put("ms", String(Math.round(trips.reduce((sum, each) => sum + each, 0) / trips.length)));
});

socket.on("my_response", (message) => {
  let parsed;
  try {
    parsed = JSON.parse(message.data);
  } catch {
    return;
  }
  document.getElementById("loader").hidden = true;
  globalThis.received += 1;
  if (parsed.dynamic) showFigures(parsed.dynamic);
  if (parsed.static && !document.getElementById("os").innerHTML) showFacts(parsed.static);
});

function showFigures({ memory_info: memory, cpu_info: cpu, disk_info: disk }) {
  put("memory", memory.usage.toFixed(1));
  put("memory-text", `${gigabytes(memory.available)} / ${gigabytes(memory.total)}`);
  put("cpu", cpu.usage.toFixed(1));
  put("disk", disk.percent.toFixed(1));
  put("disk-text", `${gigabytes(disk.total - disk.free)} / ${gigabytes(disk.total)}`);
}

function showFacts({ os_info: os, ip_address: addresses, python_info: python, boottime_info: boot }) {
  put("os", os.system);
  put("name", os.name);
  put("ip", addresses.join("<br>"));
  put("python", python);
  put("boot", boot);
  put("processors", os.processor.toFixed(0));
}
