// Lines of output as elements: number, time, mark of standard error, text. They copy as text alone.
const CLOCK = clockIn(document.documentElement.dataset.zone);

/** Makes one line; an open one, which has no end yet, has no number either. */
export function makeLine(number, [stream, spans, at], { url, isTimed }) {
  const line = element("div", stream === "err" ? "line stderr" : "line");
  if (at) line.dataset.at = at;
  line.append(makeNumber(number, line, url), element("span", "line-s", stream === "err" ? "err" : ""));
  line.append(
    element("span", "line-text", ...spans.map(([text, classes]) => (classes ? element("span", classes, text) : text))),
  );
  if (isTimed) stamp(line);
  return line;
}

function makeNumber(number, line, url) {
  if (!number || !url) return element("span", "line-n", number || "");
  line.id = `L${number}`;
  const link = element("a", "line-n", number);
  link.href = url(number);
  link.tabIndex = -1;
  return link;
}

/** The clock of the zone that the reader chose, as the server writes it; UTC where the browser has no such zone. */
function clockIn(timeZone) {
  const form = { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" };
  try {
    return new Intl.DateTimeFormat("en-GB", { ...form, timeZone });
  } catch {
    return new Intl.DateTimeFormat("en-GB", { ...form, timeZone: "UTC" });
  }
}

/** Puts the time of arrival on a line: the reader's own on the line, the exact one in its title. */
export function stamp(line) {
  if (!line.dataset.at) return;
  const moment = new Date(Number(line.dataset.at));
  const time = line.querySelector(".line-t") ?? element("time", "line-t");
  time.dateTime = time.title = moment.toISOString();
  time.textContent = CLOCK.format(moment);
  line.querySelector(".line-n").after(time);
}

export function element(tag, className, ...content) {
  const made = document.createElement(tag);
  made.className = className;
  made.append(...content);
  return made;
}
