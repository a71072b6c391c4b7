// Lines of output in the DOM: blocks of 100, which the browser lays out only when they are looked at.
const BLOCK_LINES = 100;
const MOST_BLOCKS = 600;

export class Lines {
  constructor(log, stream) {
    this.log = log;
    this.stream = stream;
    this.open = Object.fromEntries([...log.querySelectorAll("[data-open]")].map((line) => [line.dataset.open, line]));
  }

  /** Writes one line; an open one is written again, in its place, by the next of its stream. */
  write([stream, isOpen, spans]) {
    if (this.stream && this.stream !== stream) return 0;
    const isNew = !this.open[stream];
    const line = this.open[stream] ?? this.add(stream);
    line.replaceChildren(...spans.map(([text, classes]) => piece(text, classes)));
    if (isOpen) this.open[stream] = line;
    else delete this.open[stream];
    return isNew ? 1 : 0;
  }

  add(stream) {
    const line = document.createElement("span");
    line.className = stream === "err" ? "line stderr" : "line";
    this.block().append(line);
    return line;
  }

  block() {
    this.log.querySelector(".log-none")?.remove();
    const last = this.log.lastElementChild;
    if (last?.className === "log-block" && last.childElementCount < BLOCK_LINES) return last;
    if (this.log.childElementCount >= MOST_BLOCKS) this.log.firstElementChild.remove();
    const block = document.createElement("div");
    block.className = "log-block";
    this.log.append(block);
    return block;
  }

  gap(bytes) {
    const line = this.add("out");
    line.className = "line cut";
    line.textContent = `… ${Math.round(bytes / 1000).toLocaleString()} kB not shown here; the download has them`;
  }
}

function piece(text, classes) {
  if (!classes) return document.createTextNode(text);
  const span = document.createElement("span");
  span.className = classes;
  span.textContent = text;
  return span;
}
