// <q-picker>: a search form whose field lists what fits as one types (the combobox pattern of WAI-ARIA).
// The server searches. Without script, the form shows a page with the same list.
const QUIET_MS = 120;
const MOST = 12;

class Picker extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.field = this.querySelector("input[type=search]");
    this.list = this.querySelector("[role=listbox]");
    this.voice = this.querySelector("[role=status]");
    this.pattern = this.querySelector("template").content.firstElementChild;
    const attributes = { role: "combobox", "aria-autocomplete": "list", "aria-controls": this.list.id };
    for (const [name, value] of Object.entries(attributes)) this.field.setAttribute(name, value);
    this.close();
    this.field.addEventListener("input", () => this.wait(), { signal });
    this.field.addEventListener("keydown", (event) => this.press(event), { signal });
    this.list.addEventListener("mousedown", (event) => event.preventDefault(), { signal });
    this.list.addEventListener("click", ({ target }) => this.open(target.closest("[role=option]")), { signal });
    this.addEventListener("focusout", (event) => this.contains(event.relatedTarget) || this.close(), { signal });
  }

  disconnectedCallback() {
    this.close();
    this.stop.abort();
  }

  wait() {
    this.asking?.abort();
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.ask(), QUIET_MS);
  }

  async ask() {
    this.asking?.abort();
    this.asking = new AbortController();
    const { signal } = this.asking;
    if (!this.field.value.trim()) return this.close();
    this.toggleAttribute("data-busy", true);
    const question = new URLSearchParams({ q: this.field.value, limit: MOST + 1 });
    const answer = await fetch(`${this.dataset.url}&${question}`, { headers: { Accept: "application/json" }, signal })
      .then(async (each) => ({ isOk: each.ok, ...(await each.json()) }))
      .catch(() => ({}));
    if (signal.aborted) return;
    this.toggleAttribute("data-busy", false);
    if (answer.isOk) this.show(answer.files);
    else this.say(answer.detail ?? "The list can’t be had now. Try again, or press Enter.", true);
  }

  show(files) {
    const options = files.slice(0, MOST).map(({ path }, number) => this.option(path, number));
    this.list.replaceChildren(...options);
    const isMore = files.length > MOST;
    if (!files.length) return this.say("No file fits. Fewer letters find more.");
    this.say(isMore ? "There are more: type on, or show all that fit." : `${files.length} found.`);
    this.list.hidden = false;
    this.field.setAttribute("aria-expanded", "true");
    this.choose(options[0]);
  }

  /** Paths are hostile: they are only ever text. */
  option(path, number) {
    const option = this.pattern.cloneNode(true);
    const cut = path.lastIndexOf("/") + 1;
    option.id = `${this.list.id}-${number}`;
    option.dataset.path = path;
    option.querySelector("[data-name]").textContent = path.slice(cut);
    option.querySelector("[data-folder]").textContent = path.slice(0, cut);
    return option;
  }

  choose(option) {
    this.querySelector("[aria-selected=true]")?.setAttribute("aria-selected", "false");
    option?.setAttribute("aria-selected", "true");
    option?.scrollIntoView({ block: "nearest" });
    this.chosen = option;
    if (option) this.field.setAttribute("aria-activedescendant", option.id);
    else this.field.removeAttribute("aria-activedescendant");
  }

  press(event) {
    if (event.isComposing) return;
    const isOpen = !this.list.hidden;
    const steps = { ArrowDown: 1, ArrowUp: -1 };
    if (event.key in steps) {
      event.preventDefault();
      if (isOpen) this.step(steps[event.key]);
      else this.ask();
    } else if (event.key === "Escape" && (isOpen || this.voice.textContent)) {
      event.preventDefault();
      this.close();
    } else if (event.key === "Enter" && isOpen && this.chosen && !event.shiftKey) {
      event.preventDefault();
      this.open(this.chosen);
    }
  }

  step(by) {
    const options = [...this.list.children];
    this.choose(options.at((options.indexOf(this.chosen) + by) % options.length));
  }

  open(option) {
    if (option) location.assign(this.dataset.open + encodeURIComponent(option.dataset.path));
  }

  say(text, isTrouble = false) {
    this.close();
    this.voice.textContent = text;
    this.voice.classList.toggle("error", isTrouble);
  }

  close() {
    clearTimeout(this.timer);
    this.asking?.abort();
    this.list.hidden = true;
    this.voice.textContent = "";
    this.field.setAttribute("aria-expanded", "false");
    this.choose(null);
  }
}

customElements.define("q-picker", Picker);
