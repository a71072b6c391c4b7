// One row of the fleet: puts figures into its cells in the words of the server, and draws its line on.
export const FIGURES = ["cpu", "load", "memory", "disk", "received", "sent"];
const [STATE, CPU, LOAD, NETWORK, TRACE] = [0, 3, 6, 7, 8];
const SHARES = ["cpu", "memory", "disk"];
const STEP_SECONDS = 20;
const STEPS = 30;
const UNITS = ["B", "kB", "MB", "GB", "TB"];

export function size(bytes) {
  let amount = bytes;
  let unit = 0;
  while (amount >= 1000 && unit < UNITS.length - 1) {
    amount /= 1000;
    unit += 1;
  }
  return `${amount.toFixed(unit === 0 || amount >= 100 ? 0 : 1)} ${UNITS[unit]}`;
}

function put(cell, text) {
  if (cell.textContent !== text) cell.textContent = text;
}

function told(value, words) {
  return value === undefined || value === null ? "–" : words(value);
}

function barOf(value) {
  if (value === undefined || value === null) return "";
  return `b${Math.min(20, Math.max(0, Math.round(value / 5)))}${value >= 90 ? " high" : ""}`;
}

export class FleetRow {
  constructor(element) {
    this.element = element;
    this.values = {};
    this.at = new Date(this.time?.dateTime ?? 0) / 1000;
    this.step = Math.floor(this.at / STEP_SECONDS);
    this.start = 0;
  }

  get hasFigures() {
    return this.element.cells.length > TRACE;
  }

  get time() {
    return this.element.querySelector("time");
  }

  /** Takes figures by their names, of a sample that was made at a moment of the master's clock. */
  take(figures, at) {
    Object.assign(this.values, figures);
    if (at < this.at) return;
    this.at = at;
    this.element.classList.remove("old");
    if (this.time) this.time.dateTime = new Date(at * 1000).toISOString();
    this.draw(at, figures.cpu ?? this.values.cpu);
    this.show();
  }

  show() {
    const { cells } = this.element;
    for (const [number, key] of SHARES.entries()) {
      const cell = cells[CPU + number];
      put(
        cell,
        told(this.values[key], (value) => `${value.toFixed(1)} %`),
      );
      cell.className = barOf(this.values[key]);
    }
    put(
      cells[LOAD],
      told(this.values.load, (value) => value.toFixed(2)),
    );
    put(cells[NETWORK], `${told(this.values.received, size)} / ${told(this.values.sent, size)}`);
  }

  /** Draws the line on by a step, once one is over: the drawing is moved, and begins anew after a gap. */
  draw(at, cpu) {
    const path = this.element.cells[TRACE].querySelector("path");
    const step = Math.floor(at / STEP_SECONDS);
    if (!path || cpu === undefined || cpu === null || step <= this.step) return;
    const level = 16 - Math.round((Math.min(100, Math.max(0, cpu)) / 100) * 16);
    const isOn = step - this.step <= 2 && path.getTotalLength() > 0;
    this.start += step - this.step;
    const part = isOn ? `L${this.start + STEPS - 1} ${level}` : `M${this.start + STEPS - 1} ${level}h.5`;
    path.setAttribute("d", path.getAttribute("d") + part);
    path.parentElement.setAttribute("viewBox", `${this.start} 0 ${STEPS} 16`);
    this.step = step;
  }

  /** Takes what the server says of this host now: its state, or all of it where there were no figures. */
  renew(fresh) {
    const { cells } = this.element;
    if (fresh.cells.length !== cells.length) {
      this.element.replaceChildren(...fresh.cells);
    } else {
      cells[STATE].replaceWith(fresh.cells[STATE]);
      cells[cells.length - 1].replaceWith(fresh.cells[fresh.cells.length - 1]);
    }
    this.element.className = fresh.className;
  }
}
