// One chart: uPlot over the drawing of the server, in the colours and dashes that the style sheet gives that one.
import { textOf } from "./texts.js";

const LEAST_GAP_SECONDS = 22.5;
const DAY = 86400;
const CLOCK = { hour: "2-digit", minute: "2-digit" };
const ZONE = document.documentElement.dataset.zone || "UTC";
const NICE = [1, 2, 2.5, 5, 10];

function niceTop(most, unit) {
  if (!(most > 0)) return unit === "bytes a second" ? 1000 : 1;
  const scale = 10 ** Math.floor(Math.log10(most));
  return NICE.map((each) => each * scale).find((each) => each >= most * 0.9999);
}

function looks(path) {
  const style = getComputedStyle(path);
  const dash = (style.strokeDasharray.match(/[\d.]+/g) ?? []).map(Number);
  return { stroke: style.stroke, dash: dash.length ? dash : undefined };
}

export class FigureChart extends HTMLElement {
  connectedCallback() {
    this.leaving = new AbortController();
    const { signal } = this.leaving;
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.redraw(), { signal });
    this.theme = new MutationObserver(() => this.redraw());
    this.theme.observe(document.documentElement, { attributeFilter: ["data-theme"] });
    this.resizing = new ResizeObserver(() => this.fit());
    this.resizing.observe(this);
  }

  disconnectedCallback() {
    this.leaving.abort();
    this.theme.disconnect();
    this.resizing.disconnect();
    this.plot?.destroy();
  }

  get keys() {
    return this.dataset.keys.split(" ");
  }

  /** Shows lines of {mean, min, max} by their keys; a line without min is drawn without a band. */
  async show({ times, lines, seconds, until, decimals = 1 }) {
    Object.assign(this, { times: [...times], seconds, until, decimals });
    this.lines = this.keys.map((key) => ({ ...lines[key], key, mean: [...lines[key].mean] }));
    const { default: uPlot } = await import("uplot");
    if (!this.isConnected) return;
    this.uPlot = uPlot;
    this.redraw();
  }

  /** Draws the lines on by one sample; what is older than the range falls off. */
  append(at, values, leastSeconds) {
    const last = this.times?.at(-1) ?? 0;
    if (!this.plot || at - last < leastSeconds) return;
    const isGap = last && at - last > Math.max(LEAST_GAP_SECONDS, 1.5 * leastSeconds);
    if (isGap) this.push((last + at) / 2, () => null);
    this.push(at, (key) => values[key] ?? null);
    this.until = at;
    while (this.times.length && this.times[0] < at - this.seconds) {
      for (const column of [this.times, ...this.columns()]) column.shift();
    }
    this.plot.setData(this.data());
    this.tell();
  }

  push(at, told) {
    this.times.push(at);
    for (const { key, mean, min, max } of this.lines) {
      for (const column of new Set([mean, min, max].filter(Boolean))) column.push(told(key));
    }
  }

  columns() {
    return this.lines.flatMap(({ mean, min, max }) => (min ? [mean, min, max] : [mean]));
  }

  data() {
    return [this.times, ...this.columns()];
  }

  redraw() {
    if (!this.uPlot) return;
    this.plot?.destroy();
    this.classList.add("drawn");
    this.plot = new this.uPlot(this.options(), this.data(), this);
    this.plot.root.role = "img";
    this.plot.root.ariaLabel = this.querySelector(".chart-lines").getAttribute("aria-label");
    this.tell();
  }

  options() {
    const paths = [...this.querySelectorAll(".plot")].map(looks);
    const series = [{}];
    const bands = [];
    for (const [number, { min }] of this.lines.entries()) {
      const { stroke, dash } = paths[number];
      series.push({ stroke, dash, width: 1.5, points: { show: false } });
      if (!min) continue;
      bands.push({ series: [series.length + 1, series.length], fill: this.fillOf(number) });
      series.push({ width: 0, points: { show: false } }, { width: 0, points: { show: false } });
    }
    return {
      padding: [10, 18, 0, 0],
      width: this.clientWidth,
      height: this.clientHeight,
      series,
      bands,
      axes: this.axes(),
      tzDate: (at) => this.uPlot.tzDate(new Date(at * 1000), ZONE),
      scales: {
        x: { range: () => [this.until - this.seconds, this.until] },
        y: {
          range: (_plot, _least, most) => [
            0,
            this.dataset.unit === "percent" && most <= 100 ? 100 : niceTop(most, this.dataset.unit),
          ],
        },
      },
      cursor: { y: false, drag: { x: false }, sync: { key: "figures" } },
      legend: { show: false },
      hooks: { setCursor: [() => this.tell()] },
    };
  }

  fillOf(number) {
    return getComputedStyle(this.querySelectorAll(".band")[number] ?? this.querySelectorAll(".plot")[number]).fill;
  }

  axes() {
    const stroke = getComputedStyle(this.querySelector(".chart-axis")).color;
    const line = getComputedStyle(this.querySelector(".chart-grid")).stroke;
    const font = `11px ${getComputedStyle(this).fontFamily}`;
    const common = { stroke, font, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const values = (_plot, marks) => marks.map((each) => textOf(this.dataset.unit, each, 0, true));
    const times = (_plot, marks, _axis, _space, step) => marks.map((each) => this.markOf(each, step));
    return [
      { ...common, size: 22, gap: 4, space: 64, values: times },
      { ...common, size: 68, gap: 6, space: 34, values },
    ];
  }

  /** Says the values under the pointer, else the last ones. */
  tell() {
    const place = this.plot?.cursor.idx;
    const isHover = place !== null && place !== undefined && this.plot.cursor.left >= 0;
    const figure = this.closest("figure");
    for (const { key, mean } of this.lines ?? []) {
      const value = isHover ? mean[place] : mean.findLast((each) => each !== null);
      figure.querySelector(`[data-plot="${key}"]`).textContent = textOf(this.dataset.unit, value, this.decimals);
    }
    figure.querySelector(".chart-at").textContent = isHover ? this.timeOf(this.times[place]) : "";
  }

  timeOf(at) {
    const day = this.seconds > DAY ? { month: "short", day: "numeric" } : {};
    return this.told(at, { ...day, ...CLOCK, second: this.seconds <= 3600 ? "2-digit" : undefined });
  }

  /** A mark of the axis of times, as precise as marks are apart. */
  markOf(at, step) {
    if (step >= DAY) return this.told(at, { month: "short", day: "numeric" });
    return this.told(at, { ...CLOCK, second: step < 60 ? "2-digit" : undefined });
  }

  told(at, form) {
    return new Date(at * 1000).toLocaleString("en-GB", { ...form, timeZone: ZONE });
  }

  fit() {
    if (this.plot && this.clientWidth) this.plot.setSize({ width: this.clientWidth, height: this.clientHeight });
  }
}

customElements.define("q-chart", FigureChart);
