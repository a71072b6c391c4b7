// What comes to an output while its run goes on: shown in order, fetched where some of it is missing.
import { Lag } from "./lag.js";

const AT_ONCE = 500;
const CATCH_UP_MS = 1500;

export class News {
  constructor(view, signal) {
    this.view = view;
    this.lag = new Lag(view.querySelector(".log-lag"));
    this.offerToFollow(view.querySelector(".log-follow"), signal);
    const { run } = view.dataset;
    const on = (name, act) => document.body.addEventListener(`live:${name}`, (event) => act(event.detail), { signal });
    on("run:output", (news) => news.run === run && this.take(news));
    on("run:changed", (news) => news.run === run && news.ended && this.catchUp());
    on("joined", () => this.catchUp());
    on("resync", () => this.catchUp());
    setTimeout(() => this.catchUp(), CATCH_UP_MS); // where no socket comes about, or came before this
  }

  offerToFollow(button, signal) {
    if (!button) return;
    const { view } = this;
    button.hidden = false;
    button.addEventListener("click", () => (view.isFollowing ? view.letGo() : view.follow()), { signal });
  }

  /** Shows news that go on where the window ends; fetches what is missing before others. */
  take({ hosts, sent }) {
    const { view } = this;
    const part = hosts.find(({ host }) => host === view.dataset.host);
    if (!part) return;
    const { stream } = view.dataset;
    const ours = (lines) => (stream ? lines.filter(([name]) => name === stream) : lines);
    const lines = ours(part.lines);
    const before = stream ? part.first[stream === "out" ? 0 : 1] : part.first[0] + part.first[1];
    this.lag.note(sent);
    const wasAtEnd = view.isAtEnd;
    view.total = Math.max(view.total, before + lines.length);
    if (!wasAtEnd && !view.isFollowing) return view.tell();
    const have = view.window.last;
    if (view.isBusy || view.source.wanted.q || before > have) return this.catchUp();
    view.show({ lines: lines.slice(have - before), first: have + 1, open: ours(part.open) });
  }

  /** Fetches what came since, as long as something does; far behind, the last lines take the window's place. */
  catchUp() {
    const { view } = this;
    return view.alone(async () => {
      if (!view.isAtEnd && !view.isFollowing) return;
      let news = await view.source.lines(view.window.last + 1, AT_ONCE);
      const isFar = news && view.isFollowing && news.total - view.window.last > 2 * AT_ONCE;
      if (isFar) news = await view.source.lines(0, AT_ONCE);
      if (!news) return false;
      view.total = Math.max(view.total, news.total);
      if (isFar) view.window.replace([], 0);
      view.querySelector(".log-cut").hidden = !news.cut;
      view.querySelector(".log-cut span").textContent = news.cut;
      view.show(news);
    });
  }
}
