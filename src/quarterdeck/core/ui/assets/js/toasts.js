// <q-toasts>: what the server wrote and what is pushed, in one region. Errors stay until they are closed.
import { send } from "./token.js";

const STAY_MS = 6000;

class Toasts extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    for (const toast of this.querySelectorAll(".toast")) this.enliven(toast);
    document.body.addEventListener("live:toast:new", (event) => this.add(event.detail), { signal });
    this.addEventListener("submit", (event) => this.close(event), { signal });
    this.height = new ResizeObserver(() => this.tellHeight());
    this.height.observe(this);
  }

  disconnectedCallback() {
    this.stop.abort();
    this.height.disconnect();
  }

  /** So that on a phone the end of the page can be scrolled to above them. */
  tellHeight() {
    const { top, height } = this.getBoundingClientRect();
    document.documentElement.style.setProperty("--toasts", `${height ? innerHeight - top : 0}px`);
  }

  add(news) {
    if (this.querySelector(`[data-id="${CSS.escape(news.id)}"]`)) return;
    const toast = this.querySelector("template").content.firstElementChild.cloneNode(true);
    toast.dataset.id = news.id;
    toast.dataset.level = news.level;
    toast.querySelector("[data-level-word]").textContent = `${news.level}:`;
    toast.querySelector("[data-text]").textContent = news.text;
    toast.querySelector("form").action = `/toasts/${encodeURIComponent(news.id)}/close`;
    const link = toast.querySelector("[data-link]");
    link.hidden = !news.link;
    if (news.link) link.href = news.link;
    this.append(toast);
    this.enliven(toast);
    send(`/toasts/${encodeURIComponent(news.id)}/shown`);
  }

  close(event) {
    event.preventDefault();
    send(event.target.action);
    event.target.closest(".toast").remove();
  }

  enliven(toast) {
    if (toast.dataset.level === "error") return;
    let timer = 0;
    const stay = () => clearTimeout(timer);
    const leave = () => {
      stay();
      timer = setTimeout(() => toast.remove(), STAY_MS);
    };
    for (const name of ["pointerenter", "focusin"]) toast.addEventListener(name, stay);
    for (const name of ["pointerleave", "focusout"]) toast.addEventListener(name, leave);
    leave();
  }
}

customElements.define("q-toasts", Toasts);
