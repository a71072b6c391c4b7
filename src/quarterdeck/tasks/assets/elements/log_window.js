// A window on numbered lines: blocks of 100 that follow each other, which the browser lays out when looked at.
import { element, makeLine, stamp } from "./lines.js";

const BLOCK_LINES = 100;
const MOST_BLOCKS = 80;

export class LogWindow {
  constructor(log, options) {
    this.log = log;
    this.options = options;
    this.openLines = log.querySelector(".log-open");
  }

  get blocks() {
    return [...this.log.querySelectorAll(".log-block")];
  }

  get first() {
    return Number(this.log.querySelector(".log-block")?.dataset.first ?? 1);
  }

  get last() {
    const block = this.openLines.previousElementSibling;
    return block ? Number(block.dataset.first) + block.childElementCount - 1 : 0;
  }

  line(number) {
    if (number < this.first || number > this.last) return null;
    const block = this.blocks.findLast((each) => Number(each.dataset.first) <= number);
    return block.children[number - Number(block.dataset.first)];
  }

  /** Adds lines that follow the last one: not again those it has, and none beyond a gap. */
  append(lines, first) {
    const next = this.last ? this.last + 1 : first;
    if (first > next) return;
    lines.slice(next - first).forEach((line, index) => {
      this.blockFor(next + index).append(makeLine(next + index, line, this.options));
    });
  }

  blockFor(number) {
    const last = this.openLines.previousElementSibling;
    if (last && (number - 1) % BLOCK_LINES) return last;
    const block = element("div", "log-block");
    block.dataset.first = number;
    this.openLines.before(block);
    return block;
  }

  /** Adds lines that end where the window begins, without moving what is looked at. */
  prepend(lines, first) {
    const rest = new LogWindow(element("div", "", element("div", "log-open")), this.options);
    rest.append(lines, first);
    this.still(() => this.log.prepend(...rest.blocks));
  }

  replace(lines, first) {
    for (const block of this.blocks) block.remove();
    this.append(lines, first);
  }

  /** Shows what has been begun and not ended; its lines are written again in their place. */
  setOpen(lines) {
    const made = lines.map((line) => makeLine(0, line, this.options));
    if (made.length || this.openLines.childElementCount) this.openLines.replaceChildren(...made);
  }

  showTimes(isOn) {
    this.options.isTimed = isOn;
    this.log.classList.toggle("log-timed", isOn);
    if (isOn) for (const line of this.log.querySelectorAll(".line")) stamp(line);
  }

  /** Lets go of blocks that are far away, unless text is selected among them. */
  trim(atTop) {
    const surplus = this.blocks.length - MOST_BLOCKS;
    if (surplus <= 0 || this.holdsSelection()) return false;
    const far = atTop ? this.blocks.slice(0, surplus) : this.blocks.slice(-surplus);
    this.still(() => {
      for (const block of far) block.remove();
    });
    return true;
  }

  holdsSelection() {
    const selection = getSelection();
    return !selection.isCollapsed && selection.containsNode(this.log, true);
  }

  /** Changes what lies above or below, and keeps the lines that are looked at where they are on the screen. */
  still(change) {
    const top = this.log.getBoundingClientRect().top;
    const seen = this.blocks.find((block) => block.getBoundingClientRect().bottom > top + 1);
    const before = seen?.getBoundingClientRect().top;
    this.log.style.overflowAnchor = "none";
    change();
    if (seen?.isConnected) this.log.scrollTop += seen.getBoundingClientRect().top - before;
    requestAnimationFrame(() => {
      this.log.style.overflowAnchor = "";
    });
  }
}
