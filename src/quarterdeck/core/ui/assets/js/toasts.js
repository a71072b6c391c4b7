// <q-toasts>: what the server wrote and what is pushed, in one region. Errors stay until they are closed.
const STAY_MS = 6000;

class Toasts extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    for (const toast of this.querySelectorAll(".toast")) this.enliven(toast);
    document.body.addEventListener("live:toast:new", (event) => this.add(event.detail), { signal: this.stop.signal });
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  add(news) {
    if (this.querySelector(`[data-id="${CSS.escape(news.id)}"]`)) return;
    const toast = this.querySelector("template").content.firstElementChild.cloneNode(true);
    toast.dataset.id = news.id;
    toast.dataset.level = news.level;
    toast.querySelector("[data-level-word]").textContent = `${news.level}:`;
    toast.querySelector("[data-text]").textContent = news.text;
    const link = toast.querySelector("[data-link]");
    link.hidden = !news.link;
    if (news.link) link.href = news.link;
    this.append(toast);
    this.enliven(toast);
    this.count(1);
  }

  enliven(toast) {
    const close = toast.querySelector(".toast-close");
    close.hidden = false;
    close.addEventListener("click", () => toast.remove());
    if (toast.dataset.level === "error") return;
    let timer = setTimeout(() => toast.remove(), STAY_MS);
    const pause = () => clearTimeout(timer);
    const resume = () => {
      clearTimeout(timer);
      timer = setTimeout(() => toast.remove(), STAY_MS);
    };
    toast.addEventListener("pointerenter", pause);
    toast.addEventListener("focusin", pause);
    toast.addEventListener("pointerleave", resume);
    toast.addEventListener("focusout", resume);
  }

  count(more) {
    const badge = document.querySelector("[data-toast-count]");
    if (!badge) return;
    badge.firstChild.data = String(Number.parseInt(badge.firstChild.data, 10) + more);
    badge.hidden = false;
  }
}

customElements.define("q-toasts", Toasts);
