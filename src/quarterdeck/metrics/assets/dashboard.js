// The live page: moves what the server has drawn, by the messages of the namespace /dashboard.
import { bytes } from "./dashboard/units.js";

const KEPT_VALUES = 100;
const KEPT_PINGS = 30;
const PING_MS = 5000;
const BANNER_AFTER_MS = 1500;
const ARC = 0.75;

class LivePage extends HTMLElement {
  connectedCallback() {
    this.roundTrips = [];
    this.lines = new Map();
    for (const line of this.querySelectorAll("[data-line]"))
      this.lines.set(line, line.dataset.values.split(",").filter(Boolean).map(Number));
    const connect = (io) => this.follow(io("/dashboard", { transports: ["websocket", "polling"] }));
    document.body.dispatchEvent(new CustomEvent("live:io", { detail: connect }));
  }

  follow(socket) {
    this.socket = socket;
    this.socket.on("connect", () => this.show("live"));
    this.socket.on("disconnect", () => this.show("gone"));
    this.socket.on("connect_error", () => this.show("gone"));
    this.socket.on("my_response", ({ data }) => this.take(data));
    this.socket.on("my_pong", () => this.arrived());
    this.timer = setInterval(() => this.ping(), PING_MS);
  }

  disconnectedCallback() {
    clearInterval(this.timer);
    this.socket?.disconnect();
  }

  show(state) {
    for (const lamp of this.querySelectorAll("[data-lamp]")) lamp.hidden = lamp.dataset.lamp !== state;
    const banner = document.querySelector("[data-offline]");
    clearTimeout(this.banner);
    if (state === "live") banner.hidden = true;
    else this.banner = setTimeout(() => Object.assign(banner, { hidden: false }), BANNER_AFTER_MS);
    if (state === "live") this.ping();
  }

  ping() {
    if (!this.socket.connected) return;
    this.pingedAt = performance.now();
    this.socket.emit("my_ping");
  }

  arrived() {
    this.roundTrips = [...this.roundTrips, performance.now() - this.pingedAt].slice(-KEPT_PINGS);
    const mean = this.roundTrips.reduce((sum, each) => sum + each, 0) / this.roundTrips.length;
    this.say("[data-round-trip]", mean.toFixed(1));
    this.querySelector("[data-trips]").hidden = false;
  }

  /** Takes a message; the greeting is a text that is no JSON. */
  take(text) {
    if (!text.startsWith("{")) return;
    const { static: facts, dynamic } = JSON.parse(text);
    if (facts) this.takeFacts(facts);
    if (dynamic) this.takeFigures(dynamic);
  }

  takeFacts({ os_info: os, ip_address: addresses, python_info: python }) {
    const facts = { hostname: os.name, system: os.system, kernel: os.release, python };
    for (const [name, text] of Object.entries(facts)) this.say(`[data-fact="${name}"]`, text || "–");
    const list = this.querySelector("[data-addresses]");
    list.replaceChildren(
      ...addresses.map((address) => Object.assign(document.createElement("li"), { textContent: address })),
    );
  }

  takeFigures({ memory_info: memory, cpu_info: cpu, disk_info: disk, more }) {
    this.removeAttribute("aria-busy");
    for (const notice of this.querySelectorAll("[data-waiting], [data-old]")) notice.hidden = true;
    this.turn("memory", memory.usage, `${bytes(memory.total - memory.available)} of ${bytes(memory.total)}`);
    this.turn("cpu", cpu.usage, `${cpu.processor} logical ${cpu.processor === 1 ? "processor" : "processors"}`);
    this.turn("disk", disk.percent, `${bytes(disk.total - disk.free)} of ${bytes(disk.total)}`);
    this.mark(cpu.cores);
    const texts = {
      load: (value) => value.toFixed(2),
      swap: (value) => `${value.toFixed(1)} %`,
      received: (value) => `${bytes(Math.round(value))}/s`,
      sent: (value) => `${bytes(Math.round(value))}/s`,
      temperature: (value) => `${value.toFixed(1)} °C`,
    };
    for (const [key, value] of Object.entries(more)) this.say(`[data-more="${key}"]`, texts[key](value));
    const time = this.querySelector("[data-taken] time");
    if (time) time.dateTime = new Date().toISOString();
    else this.say("[data-taken]", "just now");
  }

  turn(key, percent, about) {
    const panel = this.querySelector(`[data-dial="${key}"]`);
    const limits = this.dataset.limits.split(" ").map(Number);
    const level = limits.filter((limit) => percent >= limit).length;
    panel.querySelector("[data-arc]").setAttribute("stroke-dasharray", `${Math.min(100, percent) * ARC} 100`);
    panel.querySelector("[data-number]").textContent = percent.toFixed(1);
    panel.querySelector("[data-word]").textContent = this.dataset.words.split(" ")[level];
    panel.querySelector("[data-about]").textContent = about;
    const line = panel.querySelector("[data-line]");
    for (const element of [panel.querySelector("[data-tone]"), line])
      element.setAttribute(
        "class",
        element.getAttribute("class").replace(/tone-\w+/, `tone-${this.dataset.tones.split(" ")[level]}`),
      );
    this.lengthen(line, percent);
  }

  lengthen(line, percent) {
    const values = [...this.lines.get(line), percent].slice(-KEPT_VALUES);
    this.lines.set(line, values);
    const start = KEPT_VALUES - values.length;
    const points = values.map((value, place) => `${start + place},${100 - value}`);
    line.querySelector("polyline").setAttribute("points", points.join(" "));
  }

  mark(cores) {
    const list = this.querySelector("[data-cores]");
    if (list.querySelectorAll("[data-core]").length !== cores.length) {
      const template = this.querySelector("[data-core-template]");
      list.replaceChildren(...cores.map(() => template.content.cloneNode(true)));
    }
    list.querySelectorAll("li").forEach((item, place) => {
      item.querySelector("[data-core]").textContent = cores[place];
      const bar = item.querySelector(".core-bar");
      bar.setAttribute("y", String(24 - cores[place] * 0.24));
      bar.setAttribute("height", String(cores[place] * 0.24));
    });
  }

  say(selector, text) {
    const element = this.querySelector(selector);
    if (element) element.textContent = text;
  }
}

customElements.define("q-live", LivePage);
