// <q-log>: a window on the output of one host. Loads what comes into sight, goes to lines, follows the end.
// Finding, the other tools, and what goes on while a run does are loaded when they are needed.

import { LogSource } from "./log_source.js";
import { LogWindow } from "./log_window.js";

const AT_ONCE = 500;
const REST_MS = 150;
const MOST_REST_MS = 10000;
const END_PIXELS = 12;

class Log extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.log = this.querySelector(".log");
    this.jump = this.querySelector(".log-jump");
    this.source = new LogSource(this.dataset);
    this.total = Number(this.dataset.total);
    const url = "glance" in this.dataset ? null : (number) => this.source.url(number);
    this.window = new LogWindow(this.log, { url, isTimed: this.log.classList.contains("log-timed") });
    this.isFollowing = this.isAtEnd;
    for (const edge of this.querySelectorAll(".log-edge")) edge.hidden = true;
    this.log.addEventListener("scroll", () => this.look(), { signal, passive: true });
    this.jump.addEventListener("click", () => this.follow(), { signal });
    if (url) this.furnish(signal);
    if (this.dataset.over !== "true") this.goOn();
    this.begin();
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  furnish(signal) {
    const field = this.querySelector(".log-find [name=q]");
    if (field.value) this.loadFinder({ begins: true });
    else field.addEventListener("focus", () => this.loadFinder(), { signal, once: true });
    const tools = this.querySelector(".log-tools");
    tools.addEventListener("click", (event) => this.act(event), { signal });
    tools.addEventListener("keydown", (event) => event.key === " " && this.act(event), { signal });
    this.log.addEventListener("click", (event) => this.toLine(event), { signal });
    this.log.addEventListener("keydown", (event) => this.toEnds(event), { signal });
    document.body.addEventListener("keyboard:key", ({ detail }) => this.press(detail), { signal });
    const toHash = () => location.hash.startsWith("#L") && this.goTo(Number(location.hash.slice(2)));
    window.addEventListener("hashchange", toHash, { signal });
  }

  async act(event) {
    const link = event.target.closest("[data-switch], .log-error");
    if (!link) return;
    event.preventDefault();
    const { act } = await import("./log_tools.js");
    act(this, link);
  }

  async press(key) {
    const { press } = await import("./log_tools.js");
    press(this, key);
  }

  toEnds(event) {
    if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
    if (event.key === "Home" && this.window.first > 1) this.goTo(1);
    else if (event.key === "End") this.follow();
    else return;
    event.preventDefault();
  }

  /** A click on a number makes its address this page's; with a key held it is a link as any other. */
  toLine(event) {
    const number = event.target.closest("a.line-n");
    if (!number || event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    this.goTo(Number(number.textContent));
  }

  /** Finding is loaded by those who find; until then the form is sent as without script. */
  async loadFinder(options) {
    const { Finder } = await import("./log_find.js");
    this.finder = new Finder(this, this.stop.signal, options);
  }

  walk(step) {
    if (this.finder) this.finder.walk(step);
    else this.querySelector(".log-find [name=q]").focus();
  }

  begin() {
    if (this.window.options.isTimed) this.window.showTimes(true);
    const target = this.querySelector(".target");
    if (target) this.center(target);
    else if (this.isFollowing) this.scrollToEnd();
    else this.log.scrollTop = 0;
    this.tell();
  }

  async goOn() {
    const { News } = await import("./log_news.js");
    if (!this.stop.signal.aborted) this.news = new News(this, this.stop.signal);
  }

  /** Whether all lines up to the last one known are in the window. */
  get isAtEnd() {
    return this.window.last >= this.total;
  }

  /** One fetch at a time, the next one after a rest, which grows while they fail (``work`` returns false then). */
  async alone(work) {
    this.again = this.isBusy;
    if (this.isBusy) return;
    this.isBusy = true;
    this.failures = (await work()) === false ? (this.failures ?? 0) + 1 : 0;
    await new Promise((rested) => setTimeout(rested, Math.min(REST_MS * 2 ** this.failures, MOST_REST_MS)));
    this.isBusy = false;
    if (this.stop.signal.aborted) return;
    if (this.news && (this.again || (this.isFollowing && !this.isAtEnd))) this.news.catchUp();
    else this.loadNear();
  }

  show({ lines, first, open }) {
    this.window.append(lines, first);
    this.window.setOpen(open);
    if (!this.window.last && !open.length) return;
    this.querySelector(".log-none").hidden = true;
    if (this.isFollowing && !this.window.holdsSelection()) this.toEnd();
    else this.tell();
  }

  toEnd() {
    this.window.trim(true);
    this.scrollToEnd();
    this.tell();
  }

  scrollToEnd() {
    this.log.scrollTop = this.log.scrollHeight;
    this.followedTo = this.log.scrollTop;
  }

  /** Goes to the end and stays there. */
  async follow(anew = false) {
    this.isFollowing = true;
    if (anew === true || !this.isAtEnd) await this.load(0);
    this.toEnd();
  }

  letGo() {
    this.isFollowing = false;
    this.tell();
  }

  /** Goes to a line, wherever it is; ``anew`` fetches it although it is there. */
  async goTo(number, { anew = false } = {}) {
    this.isFollowing = false;
    if (anew || !this.window.line(number)) await this.load(Math.max(1, number - AT_ONCE / 2));
    const line = this.window.line(number);
    if (!line) return;
    this.querySelector(".target")?.classList.remove("target");
    line.classList.add("target");
    this.center(line);
    history.replaceState(null, "", this.source.url(number));
    this.tell();
  }

  async load(from) {
    const news = await this.source.lines(from, AT_ONCE);
    if (!news) return;
    this.total = news.total;
    this.window.replace(news.lines, news.first);
    this.window.setOpen(news.open);
    this.querySelector(".log-none").hidden = this.window.last > 0 || news.open.length > 0;
  }

  /** Fetches the lines of the window again: what is marked in them has changed. */
  async refresh() {
    if (this.isFollowing) return this.follow(true);
    const { first } = this.window;
    const top = this.log.scrollTop;
    await this.load(first);
    this.log.scrollTop = top;
    this.tell();
  }

  center(line) {
    // Twice: the first time lays out blocks whose height was but estimated.
    for (const _ of [1, 2]) {
      const place = line.getBoundingClientRect().top - this.log.getBoundingClientRect().top;
      this.log.scrollTop += place - this.log.clientHeight / 3;
    }
  }

  /** Who scrolls to the end follows it, and who scrolls up lets go. */
  look() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    if (scrollHeight - scrollTop - clientHeight < END_PIXELS) this.isFollowing ||= this.isAtEnd;
    else if (scrollTop < this.followedTo) this.isFollowing = false;
    else if (this.isFollowing) this.scrollToEnd(); // blocks came into sight, whose height was but estimated
    this.loadNear();
    this.tell();
  }

  /** Loads what comes into sight soon. */
  loadNear() {
    const { scrollTop, scrollHeight, clientHeight } = this.log;
    const margin = clientHeight * 1.5;
    if (scrollTop < margin && this.window.first > 1) this.loadEarlier();
    else if (scrollHeight - scrollTop - clientHeight < margin && !this.isAtEnd) this.loadLater();
  }

  loadEarlier() {
    return this.alone(async () => {
      const { first } = this.window;
      const from = Math.max(1, first - AT_ONCE);
      const news = await this.source.lines(from, first - from);
      if (!news?.lines.length) return false;
      if (this.window.first !== first) return;
      const lines = news.lines.slice(0, first - from);
      // Of very long lines fewer come at once; then they don't reach up to the window.
      if (from + lines.length === first) this.window.prepend(lines, from);
      else this.window.replace(lines, from);
      this.window.trim(false);
    });
  }

  loadLater() {
    return this.alone(async () => {
      const { last } = this.window;
      const news = await this.source.lines(last + 1, AT_ONCE);
      if (!news) return false;
      if (this.window.last !== last) return;
      this.total = news.total;
      this.window.append(news.lines, last + 1);
      this.window.setOpen(news.open);
      this.window.trim(true);
    });
  }

  /** Says where the window is, and what waits below it. */
  tell() {
    const { first, last } = this.window;
    if (this.isFollowing || this.seen === undefined) this.seen = this.total;
    const unread = this.total - this.seen;
    const isAway = !this.isFollowing && this.log.scrollHeight > this.log.clientHeight + END_PIXELS;
    this.jump.hidden = !isAway;
    this.jump.querySelector("span").textContent = unread
      ? `${unread.toLocaleString("en")} new line${unread === 1 ? "" : "s"}`
      : "To the end";
    this.querySelector(".log-follow")?.setAttribute("aria-pressed", String(this.isFollowing));
    const where = this.querySelector(".log-where");
    if (where && last)
      where.textContent = `Lines ${[first, last].map((n) => n.toLocaleString("en")).join(" to ")} of ${this.total.toLocaleString("en")}`;
  }

  say(text) {
    this.querySelector(".log-say").textContent = text;
  }
}

customElements.define("q-log", Log);
