// <q-elapsed>: how long something has been running, second by second.
function words(seconds) {
  if (seconds < 60) return `${seconds} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
  return `${Math.floor(seconds / 3600)} h ${Math.floor((seconds % 3600) / 60)} min`;
}

class Elapsed extends HTMLElement {
  connectedCallback() {
    this.timer = setInterval(() => this.tell(), 1000);
    this.tell();
  }

  disconnectedCallback() {
    clearInterval(this.timer);
  }

  tell() {
    this.textContent = words(Math.max(0, Math.round((Date.now() - new Date(this.dataset.since)) / 1000)));
  }
}

customElements.define("q-elapsed", Elapsed);
