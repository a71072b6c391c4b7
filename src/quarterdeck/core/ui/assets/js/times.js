// Times stand in the zone that the reader chose; here ages stay fresh.
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
  const text = age(new Date(element.dateTime));
  if (element.textContent !== text) element.textContent = text;
}

function tellAll() {
  for (const element of document.querySelectorAll("time[data-ago]")) tell(element);
}

tellAll();
document.addEventListener("htmx:after:swap", tellAll);
setInterval(tellAll, 5000);
