// What the server knows of one host's output: lines by number, where a text stands, the first error.
export class LogSource {
  constructor({ run, host, stream }) {
    this.path = `/runs/${run}`;
    this.base = stream ? { host, stream } : { host };
    this.wanted = {};
  }

  /** Lines from a number on, the last ones without it; null when they can't be had. */
  lines(from, count) {
    return this.ask("lines", { ...this.wanted, ...(from ? { from } : {}), count });
  }

  find(from) {
    return this.ask("find", { ...this.wanted, from });
  }

  async firstError() {
    let answer = await this.ask("first-error", {});
    while (answer?.next) answer = await this.ask("first-error", { from: answer.next });
    return answer;
  }

  async ask(what, values) {
    const query = new URLSearchParams({ ...this.base, ...values });
    const answer = await fetch(`${this.path}/${what}?${query}`, { headers: { Accept: "application/json" } }).catch(
      () => null,
    );
    this.waitSeconds = answer?.status === 429 ? Number(answer.headers.get("Retry-After")) : 0;
    return answer?.ok ? answer.json() : null;
  }

  url(number) {
    const query = new URLSearchParams(location.search);
    for (const name of ["from", "hits", "error"]) query.delete(name);
    query.set("host", this.base.host);
    query.set("line", number);
    return `?${query}#L${number}`;
  }
}
