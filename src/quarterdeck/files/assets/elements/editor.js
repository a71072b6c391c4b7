// <q-editor>: the text area it wraps stays the form's field; the draft is saved as one types, and an editor
// takes the text area's place once it is loaded.
import { Draft } from "./draft.js";

class Editor extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.area = this.querySelector("textarea");
    this.text = () => this.area.value;
    this.querySelector(".editor-bar").hidden = !this.dataset.draftUrl;
    this.draft = new Draft(this);
    this.area.addEventListener("input", () => this.draft.touch(), { signal });
    this.addEventListener("keydown", (event) => this.press(event), { signal });
    this.area.form.addEventListener("formdata", ({ formData }) => formData.set(this.area.name, this.text()), {
      signal,
    });
    this.area.form.addEventListener("submit", (event) => this.submit(event), { signal });
    window.addEventListener("beforeunload", (event) => this.draft.isAtRisk && event.preventDefault(), { signal });
    this.load().catch(() => this.fallBack());
  }

  disconnectedCallback() {
    this.stop.abort();
    this.draft.end();
    this.view?.destroy();
  }

  async load() {
    const { mount } = await import("../editor/mount.js");
    if (this.stop.signal.aborted) return;
    const { path, indent } = this.dataset;
    const label = this.querySelector("label");
    this.shell = Object.assign(document.createElement("div"), { className: "editor-shell" });
    this.area.before(this.shell);
    this.view = await mount(this.shell.attachShadow({ mode: "open" }), {
      text: this.area.value,
      path,
      indent,
      label: `${label.textContent.trim()}. Escape, then Tab, leaves the editor.`,
      isReadOnly: this.area.readOnly,
      changed: () => this.draft.touch(),
    });
    this.text = () => this.view.state.doc.toString();
    if (document.activeElement === this.area) this.view.focus();
    label.addEventListener("click", () => this.view.focus(), { signal: this.stop.signal });
    this.area.hidden = true;
  }

  fallBack() {
    this.shell?.remove();
    this.area.hidden = false;
    this.text = () => this.area.value;
  }

  /** A saving on its way is waited for: the form must carry the version that comes of it. */
  submit(event) {
    if (!this.draft.saving) return this.draft.hand();
    event.preventDefault();
    this.draft.saving.finally(() => event.target.requestSubmit(event.submitter));
  }

  press(event) {
    if (event.key.toLowerCase() !== "s" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
    event.preventDefault();
    this.draft.save();
  }
}

customElements.define("q-editor", Editor);
