// Watches the hosts on the screen, and only those; rows keep their places until the reader sorts again.
import { FIGURES, FleetRow } from "./fleet_row.js";

const OLD_AFTER_SECONDS = 45;
const ASK_AFTER_MS = 250;
const RENEW_AFTER_MS = 2000;

class FleetTable extends HTMLElement {
  connectedCallback() {
    this.leaving = new AbortController();
    const on = (name, act) =>
      document.body.addEventListener(name, (event) => act(event.detail), { signal: this.leaving.signal });
    on("live:joined", () => this.ask());
    on("live:resync", () => {
      this.ask();
      this.renewSoon([...this.seen]);
    });
    on("live:figures", (message) => this.take(message));
    on("live:hosts:changed", ({ ids }) => this.renewSoon(ids ?? [...this.seen]));
    on("htmx:after:swap", () => this.scan());
    on("keyboard:key", (key) => this.move(key === "j" ? 1 : key === "k" ? -1 : 0));
    this.addEventListener("click", (event) => event.target.closest("[data-pause]") && this.pause());
    this.aging = setInterval(() => this.age(), 5000);
    this.changed = new Set();
    this.scan();
  }

  disconnectedCallback() {
    this.leaving.abort();
    this.observer.disconnect();
    clearInterval(this.aging);
    this.emit({ hosts: [] });
  }

  /** Reads the rows anew: the first time, and after a filter has put others in their places. */
  scan() {
    this.observer?.disconnect();
    this.seen = new Set();
    this.lag = 0;
    this.rows = new Map();
    this.observer = new IntersectionObserver((entries) => this.see(entries), { rootMargin: "150px 0px" });
    for (const element of this.querySelectorAll("tr[data-id]")) {
      this.rows.set(element.dataset.id, new FleetRow(element));
      this.observer.observe(element);
    }
  }

  see(entries) {
    for (const { target, isIntersecting } of entries) {
      if (isIntersecting) this.seen.add(target.dataset.id);
      else this.seen.delete(target.dataset.id);
    }
    clearTimeout(this.asking);
    this.asking = setTimeout(() => this.ask(), ASK_AFTER_MS);
  }

  get isPaused() {
    return this.querySelector("[data-pause]").ariaPressed === "true";
  }

  pause() {
    const button = this.querySelector("[data-pause]");
    button.ariaPressed = String(!this.isPaused);
    button.querySelector("span").textContent = this.isPaused ? "Paused" : "Pause";
    this.ask();
  }

  emit(watch, answered = () => {}) {
    document.body.dispatchEvent(new CustomEvent("live-ask", { detail: ["figures:watch", watch, answered] }));
  }

  /** Says what is on the screen; the answer has how it stands, and what was missed of it. */
  ask() {
    if (!this.isConnected) return;
    const hosts = this.isPaused ? [] : [...this.seen].slice(0, Number(this.dataset.most));
    const times = hosts.map((id) => this.rows.get(id).at);
    this.emit({ hosts, figures: FIGURES, since: Math.max(0, Math.min(...times, Date.now() / 1000)) }, (answer) =>
      this.begin(answer),
    );
  }

  begin({ ok, at, figures, hosts }) {
    if (!ok) return;
    this.lag = Date.now() / 1000 - at;
    this.figures = figures;
    const named = (values) => Object.fromEntries(figures.map((key, number) => [key, values[number]]));
    for (const [id, { at: sampled, values, missed }] of Object.entries(hosts)) {
      const row = this.rows.get(id);
      if (row && !row.hasFigures) this.renewSoon([id]);
      if (!row?.hasFigures) continue;
      for (const [moment, ...rest] of missed ?? []) row.draw(moment, named(rest).cpu);
      row.take(named(values), sampled);
    }
  }

  take({ at, hosts }) {
    for (const [id, [age, ...pairs]] of Object.entries(hosts)) {
      const row = this.rows.get(id);
      if (row && !row.hasFigures) this.renewSoon([id]);
      if (!row?.hasFigures || this.isPaused) continue;
      const figures = {};
      for (let place = 0; place < pairs.length; place += 2) figures[this.figures[pairs[place]]] = pairs[place + 1];
      row.take(figures, at - age);
    }
    this.checkOrder();
  }

  /** Marks what has become old while the page stood open, by the master's clock. */
  age() {
    const now = Date.now() / 1000 - this.lag;
    for (const id of this.seen) {
      const row = this.rows.get(id);
      if (row.hasFigures && now - row.at > OLD_AFTER_SECONDS) row.element.classList.add("old");
    }
  }

  /** Says so when the rows on the screen no longer stand in the order that was asked for. */
  checkOrder() {
    const key = this.dataset.sort.replace("-", "");
    const sign = this.dataset.sort.startsWith("-") ? -1 : 1;
    const value = ({ values }) => (key === "network" ? (values.received ?? 0) + (values.sent ?? 0) : values[key]);
    const shown = [...this.rows].filter(([id]) => this.seen.has(id)).map(([, row]) => value(row));
    const known = shown.filter((each) => each !== undefined && each !== null);
    if (known.some((each, place) => place && sign * (known[place - 1] - each) > 0)) this.tellOrder();
  }

  tellOrder() {
    this.querySelector("[data-order]").hidden = false;
  }

  renewSoon(ids) {
    for (const id of ids) this.changed.add(id);
    this.renewing ??= setTimeout(() => this.renew(), RENEW_AFTER_MS);
  }

  /** Fetches the rows whose state has changed; one that is new or gone is told of. */
  async renew() {
    this.renewing = undefined;
    const known = [...this.changed].filter((id) => this.rows.has(id)).slice(0, Number(this.dataset.most));
    if (known.length < this.changed.size) this.tellOrder();
    this.changed.clear();
    const query = new URLSearchParams(location.search);
    for (const id of known) query.append("id", id);
    const answer = await fetch(`/fleet/rows?${query}`).catch(() => null);
    if (!answer?.ok) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    this.querySelector(".tallies").replaceWith(fresh.querySelector(".tallies"));
    for (const element of fresh.querySelectorAll("tr[data-id]")) this.rows.get(element.dataset.id).renew(element);
  }

  move(steps) {
    if (!steps) return;
    const links = [...this.querySelectorAll("tbody th a")];
    const place = links.indexOf(document.activeElement?.closest("tr")?.querySelector("th a"));
    links[Math.min(links.length - 1, Math.max(0, place + steps))]?.focus();
  }
}

customElements.define("q-fleet", FleetTable);
