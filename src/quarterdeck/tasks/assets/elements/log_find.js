// Finding in a log: the server looks through all of it, the page walks from hit to hit.
const MOST_HITS = 1000;

export class Finder {
  constructor(view, signal, { begins = false } = {}) {
    this.view = view;
    this.form = view.querySelector(".log-find");
    this.told = this.form.querySelector(".log-found");
    this.hits = [];
    this.index = -1;
    const { q } = this.form.elements;
    this.form.addEventListener("submit", (event) => this.submit(event), { signal });
    q.addEventListener("keydown", (event) => event.key === "Enter" && event.shiftKey && this.back(event), { signal });
    q.addEventListener("input", () => !q.value && this.asked && this.begin(), { signal });
    this.form.elements.case.addEventListener("change", () => q.value && this.begin(), { signal });
    for (const button of this.form.querySelectorAll("[data-walk]"))
      button.addEventListener("click", () => this.walk(Number(button.dataset.walk)), { signal });
    if (begins) this.begin({ stays: location.hash.startsWith("#L") });
  }

  submit(event) {
    event.preventDefault();
    if (this.asked === this.wish) this.walk(1);
    else this.begin();
  }

  back(event) {
    event.preventDefault();
    this.walk(-1);
  }

  /** What is asked for now, as one text to compare. */
  get wish() {
    return `${this.form.elements.case.checked} ${this.form.elements.q.value}`;
  }

  /** Begins a search from the first line; ``stays`` leaves the page where it is. */
  async begin({ stays = false } = {}) {
    const { q, case: isExact } = this.form.elements;
    this.asked = this.wish;
    Object.assign(this, { hits: [], index: -1, next: q.value ? 1 : null });
    this.view.source.wanted = q.value ? { q: q.value, ...(isExact.checked ? { case: "true" } : {}) } : {};
    this.keep();
    this.view.querySelector(".log-hits")?.remove();
    this.form.querySelector(".log-walk").hidden = !q.value;
    if (!q.value) {
      this.told.textContent = "";
      return this.view.refresh();
    }
    await this.more();
    if (!stays && this.hits.length) this.walk(1, { anew: true });
    else this.view.refresh();
    while (this.next && this.hits.length < MOST_HITS && (await this.more()));
  }

  /** Asks for the hits that follow the known ones; false when a newer search has taken over. */
  async more() {
    const { asked } = this;
    do {
      this.tell();
      const found = await this.view.source.find(this.next);
      if (asked !== this.asked) return false;
      if (!found) this.next = null;
      else Object.assign(this, { hits: this.hits.concat(found.lines), next: found.next });
      this.isFailing = !found;
    } while (this.next && !this.hits.length);
    this.tell();
    return Boolean(this.next);
  }

  async walk(step, options) {
    if (!this.hits.length) return this.form.elements.q.focus();
    if (this.index + step >= this.hits.length && this.next) await this.more();
    this.index = (this.index + step + this.hits.length) % this.hits.length;
    this.tell();
    await this.view.goTo(this.hits[this.index], options);
  }

  tell() {
    const count = `${this.hits.length.toLocaleString("en")}${this.next ? "+" : ""}`;
    const { waitSeconds } = this.view.source;
    if (this.isFailing && waitSeconds)
      this.told.textContent = `Too many searches. Wait ${waitSeconds} s, then try again.`;
    else if (this.isFailing) this.told.textContent = "The server did not answer; try again.";
    else if (this.hits.length)
      this.told.textContent = `${(Math.max(0, this.index) + 1).toLocaleString("en")} of ${count} line${count === "1" ? "" : "s"}`;
    else if (this.next)
      this.told.textContent = this.next > 1 ? `Searching, at line ${this.next.toLocaleString("en")}…` : "Searching…";
    else this.told.textContent = "Not found";
  }

  keep() {
    const url = new URL(location.href);
    const wanted = this.view.source.wanted;
    for (const name of ["q", "case"]) {
      if (wanted[name]) url.searchParams.set(name, wanted[name]);
      else url.searchParams.delete(name);
    }
    history.replaceState(null, "", url);
  }
}
