// What the tools of a log do without a new page: the address keeps the switches, and the links take them along.
import { stamp } from "./lines.js";

export function act(view, link) {
  if (link.dataset.switch) turn(view, link);
  else toFirstError(view);
}

function turn(view, link) {
  const isOn = link.getAttribute("aria-checked") !== "true";
  link.setAttribute("aria-checked", String(isOn));
  const name = link.dataset.switch;
  if (name === "wrap") view.log.classList.toggle("log-nowrap", !isOn);
  else showTimes(view, isOn);
  keep(view, name, { wrap: isOn ? "" : "off", times: isOn ? "on" : "" }[name]);
}

function showTimes(view, isOn) {
  view.window.options.isTimed = isOn;
  view.log.classList.toggle("log-timed", isOn);
  if (isOn) for (const line of view.log.querySelectorAll(".line")) stamp(line);
}

function keep(view, name, value) {
  history.replaceState(null, "", withValue(location.href, name, value));
  for (const link of view.querySelectorAll(".log-streams a, .log-error")) link.href = withValue(link.href, name, value);
  view.querySelector(`.log-find [name=${name}]`)?.remove();
  if (!value) return;
  const field = Object.assign(document.createElement("input"), { type: "hidden", name, value });
  view.querySelector(".log-find").append(field);
}

function withValue(address, name, value) {
  const url = new URL(address);
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  return url.href;
}

async function toFirstError(view) {
  view.say("Looking for the first error…");
  const found = await view.source.firstError();
  view.say(!found ? "The server did not answer; try again." : found.line ? "" : "No line looks like an error.");
  if (found?.line) view.goTo(found.line);
}
