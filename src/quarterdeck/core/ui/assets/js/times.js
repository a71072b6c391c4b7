// Times stand in UTC without script; with it in the reader's own zone, and ages stay fresh.
const FORMAT = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const UNITS = [
  [86400, "d"],
  [3600, "h"],
  [60, "min"],
  [1, "s"],
];

function age(moment) {
  const passed = (Date.now() - moment) / 1000;
  const seconds = Math.abs(passed);
  if (seconds < 5) return "just now";
  const [size, name] = UNITS.find(([least]) => seconds >= least);
  const text = `${Math.floor(seconds / size)} ${name}`;
  return passed < 0 ? `in ${text}` : `${text} ago`;
}

function tell(element) {
  const moment = new Date(element.dateTime);
  const text = "ago" in element.dataset ? age(moment) : FORMAT.format(moment);
  if (element.textContent !== text) element.textContent = text;
}

function tellAll() {
  for (const element of document.querySelectorAll("time[data-when], time[data-ago]")) tell(element);
}

tellAll();
document.addEventListener("htmx:after:swap", tellAll);
setInterval(tellAll, 5000);
