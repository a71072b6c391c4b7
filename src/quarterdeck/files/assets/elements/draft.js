// The draft of what stands in an editor: saved a moment after the last key, one saving at a time.
// The token is read here, not imported: a module shared with app.js would be one more file for every page.
const QUIET_MS = 800;
const RETRY_MS = 10_000;

export class Draft {
  constructor(editor) {
    this.editor = editor;
    this.version = Number(editor.dataset.version);
    this.mark = editor.querySelector("[data-draft-state]");
    this.voice = editor.querySelector("[role=status]");
    this.clash = editor.querySelector("[data-clash]");
    const { signal } = editor.stop;
    window.addEventListener("online", () => this.isUnsaved && this.save(), { signal });
    this.clash?.querySelector("button").addEventListener("click", () => this.saveOver(), { signal });
  }

  get isAtRisk() {
    return this.isUnsaved || this.isSending;
  }

  /** The text was changed: it is saved once the typing pauses, unless another window's text stands in the way. */
  touch() {
    this.isUnsaved = true;
    this.show("unsaved", "Not saved yet");
    if (!this.other) this.wait(QUIET_MS);
  }

  wait(milliseconds) {
    clearTimeout(this.timer);
    this.timer = setTimeout(() => this.save(), milliseconds);
  }

  /** The form takes the text with it. */
  hand() {
    this.end();
    this.isUnsaved = false;
  }

  end() {
    clearTimeout(this.timer);
  }

  save() {
    this.end();
    if (this.saving || !this.editor.dataset.draftUrl) return;
    this.saving = this.send().finally(() => {
      this.saving = null;
    });
  }

  async send() {
    this.isUnsaved = false;
    this.isSending = true;
    this.show("saving", "Saving …");
    const answer = await this.put(this.editor.text()).catch(() => null);
    this.isSending = false;
    if (answer?.ok) this.saved(await answer.json());
    else await this.failed(answer);
  }

  put(text) {
    const token = document.querySelector('meta[name="csrf-token"]').content;
    return fetch(this.editor.dataset.draftUrl, {
      method: "PUT",
      headers: { "X-CSRF-Token": token, "Content-Type": "application/json", Accept: "application/json" },
      body: JSON.stringify({ text, version: this.version }),
      signal: this.editor.stop.signal,
    });
  }

  saved({ version }) {
    this.version = version;
    const field = this.editor.area.form.elements.namedItem("version");
    if (field) field.value = version;
    if (this.isUnsaved) this.wait(QUIET_MS);
    else this.show("saved", "Draft saved", "Draft saved");
  }

  async failed(answer) {
    this.isUnsaved = true;
    const problem = await answer?.json().catch(() => null);
    this.other = answer?.status === 409 && problem?.version;
    if (this.clash) this.clash.hidden = !this.other;
    const reason = problem?.detail ?? "the server can’t be reached; it is tried again.";
    this.show("failed", `Not saved: ${reason}`, `Not saved: ${reason}`);
    if (!answer || answer.status >= 500 || answer.status === 429) this.wait(RETRY_MS);
  }

  saveOver() {
    this.version = this.other;
    this.other = null;
    this.clash.hidden = true;
    this.save();
  }

  /** What is spoken is only what one must know, and once. */
  show(state, text, spoken = "") {
    this.mark.dataset.draftState = state;
    this.mark.querySelector("span").textContent = text;
    if (spoken && this.voice.textContent !== spoken) this.voice.textContent = spoken;
  }
}
