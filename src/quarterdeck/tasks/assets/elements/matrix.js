// <q-matrix>: the cells of a map are one stop of the Tab key; the arrow keys go from cell to cell.
class Matrix extends HTMLElement {
  connectedCallback() {
    this.stop = new AbortController();
    const { signal } = this.stop;
    this.addEventListener("keydown", (event) => this.move(event), { signal });
    this.addEventListener("focusin", (event) => this.settle(event.target), { signal });
    document.body.addEventListener("htmx:after:swap", () => this.settle(), { signal });
    this.settle();
  }

  disconnectedCallback() {
    this.stop.abort();
  }

  get cells() {
    return [...this.querySelectorAll("a")];
  }

  /** Leaves one cell for the Tab key: the one given, the one in use, or the first. */
  settle(
    cell = this.contains(document.activeElement) ? document.activeElement : this.firstElementChild.firstElementChild,
  ) {
    for (const each of this.cells) each.tabIndex = each === cell ? 0 : -1;
  }

  move(event) {
    const cells = this.cells;
    const at = cells.indexOf(document.activeElement);
    const wide = cells.filter((cell) => cell.offsetTop === cells[0].offsetTop).length;
    const steps = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -wide, ArrowDown: wide };
    const to = { Home: 0, End: cells.length - 1 }[event.key] ?? at + (steps[event.key] ?? Number.NaN);
    if (at < 0 || !cells[to]) return;
    event.preventDefault();
    cells[to].focus();
  }
}

customElements.define("q-matrix", Matrix);
