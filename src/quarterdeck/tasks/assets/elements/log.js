// <q-log>: goes on with output that the server rendered; follows at its end, lets go when scrolled.
import { Lines } from "./lines.js";

const CATCH_UP_MS = 1500;

class Log extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.log = this.querySelector(".log");
    this.jump = this.querySelector(".log-jump");
    this.lines = new Lines(this.log, this.dataset.stream);
    this.seen = [Number(this.dataset.out), Number(this.dataset.err)];
    this.follow();
    this.log.addEventListener("scroll", () => this.look(), { signal, passive: true });
    this.jump.addEventListener("click", () => this.follow(), { signal });
    if (this.dataset.over === "true") return;
    const on = (name, act) => document.body.addEventListener(`live:${name}`, (event) => act(event.detail), { signal });
    on("run:output", (news) => news.host === this.dataset.host && news.run === this.dataset.run && this.take(news));
    on("run:changed", (news) => news.run === this.dataset.run && news.ended && this.catchUp());
    on("resync", () => this.catchUp());
    setTimeout(() => this.catchUp(), CATCH_UP_MS); // what came between the page and joining its room
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  /** Shows news that go on where this page stands; fetches what is missing before others. */
  take(news) {
    if (this.isFetching) this.again = true;
    else if (news.at.every((bytes, stream) => bytes === this.seen[stream])) this.show(news);
    else if (news.next.some((bytes, stream) => bytes > this.seen[stream])) this.catchUp();
  }

  async catchUp() {
    if (this.isFetching || this.stop.signal.aborted) return;
    this.isFetching = true;
    do {
      this.again = false;
      const { run, host } = this.dataset;
      const query = new URLSearchParams({ host, out: this.seen[0], err: this.seen[1] });
      const answer = await fetch(`/runs/${run}/lines?${query}`).catch(() => null);
      if (answer?.ok) this.show(await answer.json());
    } while (this.again && !this.stop.signal.aborted);
    this.isFetching = false;
  }

  show(news) {
    if (news.skipped) this.lines.gap(news.skipped);
    let added = 0;
    for (const line of news.lines) added += this.lines.write(line);
    this.seen = news.next;
    if (this.isFollowing && getSelection().isCollapsed) this.follow();
    else this.tell((this.unread ?? 0) + added);
  }

  follow() {
    this.isFollowing = true;
    this.log.scrollTop = this.log.scrollHeight;
    this.tell(0);
  }

  look() {
    this.isFollowing = this.log.scrollHeight - this.log.scrollTop - this.log.clientHeight < 12;
    if (this.isFollowing) this.tell(0);
  }

  tell(unread) {
    this.unread = unread;
    this.jump.hidden = unread === 0;
    this.jump.firstElementChild.textContent = `${unread.toLocaleString()} new line${unread === 1 ? "" : "s"}`;
  }
}

customElements.define("q-log", Log);
