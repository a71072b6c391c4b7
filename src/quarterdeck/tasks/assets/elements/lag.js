// How far behind the server a page is: the way of the fastest news counts as none, so clocks need not agree.
const SHOWN_FROM_SECONDS = 2;
const FORGOTTEN_MS = 5000;

export class Lag {
  constructor(badge) {
    this.badge = badge;
    this.least = Number.POSITIVE_INFINITY;
  }

  note(sent) {
    if (!this.badge) return;
    const way = Date.now() - sent;
    this.least = Math.min(this.least, way);
    const seconds = Math.round((way - this.least) / 1000);
    this.badge.hidden = seconds < SHOWN_FROM_SECONDS;
    this.badge.lastElementChild.textContent = `${seconds} s behind`;
    clearTimeout(this.timer);
    this.timer = setTimeout(() => {
      this.badge.hidden = true;
    }, FORGOTTEN_MS);
  }
}
