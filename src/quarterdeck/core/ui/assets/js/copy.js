// <q-copy>: a button that copies the text of what it stands beside.
class Copy extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const button = this.querySelector("button");
    button.hidden = !navigator.clipboard;
    button.addEventListener("click", () => this.copy(button), { signal: this.stop.signal });
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  async copy(button) {
    const source = this.querySelector("[data-copy], code, input");
    await navigator.clipboard.writeText(source.value ?? source.textContent);
    const word = button.querySelector("span");
    word.textContent = "Copied";
    setTimeout(() => {
      word.textContent = "Copy";
    }, 2000);
  }
}

customElements.define("q-copy", Copy);
