// Renews the ages of all hosts that answered the last round of the watch; the rows themselves stay.
class HostAges extends HTMLElement {
  connectedCallback() {
    this.leaving = new AbortController();
    document.body.addEventListener("live:hosts:seen", (event) => this.renew(event.detail), {
      signal: this.leaving.signal,
    });
  }

  disconnectedCallback() {
    this.leaving.abort();
  }

  renew({ at, missed }) {
    const late = new Set(missed);
    for (const part of this.querySelectorAll("[data-answers]")) {
      const time = part.querySelector("time[data-ago]");
      if (time && !late.has(part.dataset.answers)) time.dateTime = at;
    }
  }
}

customElements.define("q-host-ages", HostAges);
