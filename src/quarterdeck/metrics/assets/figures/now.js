// A host's page: what it says now moves each second, its charts are drawn and go on in the short ranges.
import { textOf } from "./texts.js";

const DUE_MS = 5000;
/** As many as fit the steps of a range: fewer would be thinned, with three lines for one. */
const POINTS = { "10m": 300, "1h": 240 };
const POINTS_ELSE = 160;
const SECONDS = { "10m": 600, "1h": 3600, "24h": 86400, "7d": 604800, "30d": 2592000, "1y": 31622400 };
/** In the range of an hour a step is 15 s, whatever the samples are. */
const LEAST_SECONDS = { "10m": 0.5, "1h": 14.5 };

class HostNow extends HTMLElement {
  connectedCallback() {
    this.leaving = new AbortController();
    const { signal } = this.leaving;
    const on = (name, act) => document.body.addEventListener(name, (event) => act(event.detail), { signal });
    on("live:joined", () => this.ask());
    on("live:resync", () => {
      this.ask();
      this.load();
    });
    on("live:figures", (message) => this.take(message));
    this.pauser = this.querySelector("[data-pause]");
    this.pauser.hidden = false;
    this.pauser.addEventListener("click", () => this.pause(), { signal });
    this.values = {};
    this.due = setInterval(() => this.tellDue(), DUE_MS);
    this.load();
  }

  disconnectedCallback() {
    this.leaving.abort();
    clearInterval(this.due);
    this.emit({ hosts: [] });
  }

  get isPaused() {
    return this.pauser.ariaPressed === "true";
  }

  get isLive() {
    return this.dataset.liveRange !== undefined;
  }

  pause() {
    this.pauser.ariaPressed = String(!this.isPaused);
    this.pauser.querySelector("span").textContent = this.isPaused ? "Paused" : "Pause";
    this.ask();
    if (!this.isPaused) {
      this.tellDue();
      this.load();
    }
  }

  tellDue() {
    if (!this.isPaused && !document.hidden) document.body.dispatchEvent(new CustomEvent("figures:due"));
  }

  emit(watch, answered = () => {}) {
    document.body.dispatchEvent(new CustomEvent("live-ask", { detail: ["figures:watch", watch, answered] }));
  }

  ask() {
    this.emit({ hosts: this.isPaused ? [] : [this.dataset.host] }, ({ ok, figures, hosts }) => {
      if (!ok || !hosts[this.dataset.host]) return;
      this.figures = figures;
      const { at, values } = hosts[this.dataset.host];
      this.show(at, Object.fromEntries(figures.map((key, number) => [key, values[number]])));
    });
  }

  take({ at, hosts }) {
    const told = hosts[this.dataset.host];
    if (!told || this.isPaused || !this.figures) return;
    const [age, ...pairs] = told;
    const values = {};
    for (let place = 0; place < pairs.length; place += 2) values[this.figures[pairs[place]]] = pairs[place + 1];
    this.show(at - age, values);
  }

  show(at, values) {
    Object.assign(this.values, values);
    for (const [key, value] of Object.entries(this.values)) {
      const bar = this.querySelector(`[data-bar="${key}"]`);
      bar?.setAttribute("width", Math.min(100, Math.max(0, value ?? 0)));
      const place = this.querySelector(`[data-now="${key}"]`);
      if (place && this.units) place.textContent = textOf(this.units[key], value, this.decimals[key]);
    }
    const time = this.querySelector(".host-state time");
    if (time) time.dateTime = new Date(at * 1000).toISOString();
    if (!this.isLive) return;
    for (const chart of this.querySelectorAll("q-chart"))
      chart.append(at, this.values, LEAST_SECONDS[this.dataset.range]);
  }

  /** Fetches the lines of all charts at once, finer than the server has drawn them. */
  async load() {
    const { samples, range } = this.dataset;
    const answer = await fetch(`${samples}?range=${range}&points=${POINTS[range] ?? POINTS_ELSE}`, {
      headers: { Accept: "application/json" },
      signal: this.leaving.signal,
    }).catch(() => null);
    if (!answer?.ok) return;
    const { times, figures, to } = await answer.json();
    this.units = Object.fromEntries(Object.entries(figures).map(([key, { unit }]) => [key, UNITS[unit]]));
    this.decimals = { load: 2, disk: 2 };
    const until = new Date(to) / 1000;
    for (const chart of this.querySelectorAll("q-chart")) {
      const decimals = chart.keys[0] === "load" ? 2 : chart.keys[0] === "processes" ? 0 : 1;
      chart.show({ times, lines: figures, seconds: SECONDS[range], until, decimals });
    }
  }
}

const UNITS = {
  percent: "percent",
  bytes_per_second: "bytes a second",
  celsius: "degrees Celsius",
  number: "number",
};

customElements.define("q-now", HostNow);
