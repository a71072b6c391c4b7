// <q-host-picker>: filters the list of hosts, and says how many are chosen by name or by tag.
class Picker extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    const bar = this.querySelector(".picker-filter");
    bar.hidden = false;
    this.filter = bar.querySelector("input");
    this.filter.addEventListener("input", () => this.narrow(), { signal });
    bar.querySelector("[data-all]").addEventListener("click", () => this.choose(true), { signal });
    bar.querySelector("[data-none]").addEventListener("click", () => this.choose(false), { signal });
    this.addEventListener("change", () => this.count(), { signal });
    this.count();
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  get rows() {
    return [...this.querySelectorAll("li")];
  }

  narrow() {
    const words = this.filter.value.toLowerCase().split(/\s+/).filter(Boolean);
    for (const row of this.rows) row.hidden = !words.every((word) => row.dataset.words.toLowerCase().includes(word));
  }

  choose(isChosen) {
    for (const row of this.rows) if (!isChosen || !row.hidden) row.querySelector("input").checked = isChosen;
    if (!isChosen) for (const tag of this.querySelectorAll('input[name="tags"]')) tag.checked = false;
    this.count();
  }

  count() {
    const tags = [...this.querySelectorAll('input[name="tags"]:checked')].map((input) => input.value);
    let chosen = 0;
    for (const row of this.rows) {
      const byTag = row.dataset.tags.split(" ").some((tag) => tags.includes(tag));
      row.classList.toggle("by-tag", byTag);
      if (byTag || row.querySelector("input").checked) chosen += 1;
    }
    this.querySelector("[data-count]").textContent = chosen
      ? `${chosen} host${chosen === 1 ? "" : "s"} chosen`
      : "none chosen yet";
  }
}

customElements.define("q-host-picker", Picker);
