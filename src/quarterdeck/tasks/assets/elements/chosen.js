// <q-chosen>: a box that chooses all rows of the page, and a button that says how many are chosen.
class Chosen extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.addEventListener("change", (event) => this.choose(event.target), { signal });
    document.body.addEventListener("htmx:after:swap", () => this.tell(), { signal });
    this.tell();
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  choose(box) {
    if ("all" in box.dataset) for (const each of this.boxes) each.checked = box.checked;
    this.tell();
  }

  get boxes() {
    return [...this.querySelectorAll('input[name="host"]')];
  }

  tell() {
    const all = this.querySelector("[data-all]");
    if (!all) return;
    const chosen = this.boxes.filter((box) => box.checked).length;
    all.hidden = false;
    all.checked = chosen > 0 && chosen === this.boxes.length;
    all.indeterminate = chosen > 0 && !all.checked;
    this.querySelector(".chosen button").disabled = chosen === 0;
    this.querySelector("[data-count]").textContent = chosen ? ` ${chosen}` : "";
  }
}

customElements.define("q-chosen", Chosen);
