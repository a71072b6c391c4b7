// The comparison: its lines come with the page, for all hosts share their steps.
class Comparison extends HTMLElement {
  connectedCallback() {
    const data = JSON.parse(this.dataset.lines);
    customElements.whenDefined("q-chart").then(() => this.querySelector("q-chart")?.show(data));
  }
}

customElements.define("q-compare", Comparison);
