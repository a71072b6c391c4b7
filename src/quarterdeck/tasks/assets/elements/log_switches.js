// The switches of a log work without a new page; the address keeps them, and the links take them along.
import { stamp } from "./lines.js";

export function listenToSwitches(view, signal) {
  const follow = view.querySelector(".log-follow");
  if (follow) {
    follow.hidden = false;
    follow.addEventListener("click", () => (view.isFollowing ? view.letGo() : view.follow()), { signal });
  }
  for (const link of view.querySelectorAll("[data-switch]")) {
    link.addEventListener("click", (event) => turn(view, link, event), { signal });
    link.addEventListener("keydown", (event) => event.key === " " && turn(view, link, event), { signal });
  }
  view.querySelector(".log-error").addEventListener("click", (event) => toFirstError(view, event), { signal });
  view.log.addEventListener("click", (event) => toLine(view, event), { signal });
}

function turn(view, link, event) {
  event.preventDefault();
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
  const field = view.querySelector(`.log-find [name=${name}]`);
  if (field) field.value = value;
}

function withValue(address, name, value) {
  const url = new URL(address);
  if (value) url.searchParams.set(name, value);
  else url.searchParams.delete(name);
  return url.href;
}

async function toFirstError(view, event) {
  event.preventDefault();
  view.say("Looking for the first error…");
  const found = await view.source.firstError();
  view.say(!found ? "The server did not answer; try again." : found.line ? "" : "No line looks like an error.");
  if (found?.line) view.goTo(found.line);
}

function toLine(view, event) {
  const number = event.target.closest("a.line-n");
  if (!number || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  view.goTo(Number(number.textContent));
}
