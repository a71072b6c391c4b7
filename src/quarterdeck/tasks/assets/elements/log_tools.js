// What the tools and keys of a log do without a new page: the address keeps the switches, links take them along.
const STEP_PIXELS = 60;

/** j k scroll, f follows, e goes to the first error, n N walk the hits. */
export function press(view, key) {
  const acts = {
    j: () => view.log.scrollBy({ top: STEP_PIXELS }),
    k: () => view.log.scrollBy({ top: -STEP_PIXELS }),
    f: () => (view.isFollowing ? view.letGo() : view.follow()),
    e: () => toFirstError(view),
    n: () => view.walk(1),
    N: () => view.walk(-1),
  };
  acts[key]?.();
}

export function act(view, link) {
  if (link.dataset.switch) turn(view, link);
  else toFirstError(view);
}

function turn(view, link) {
  const isOn = link.getAttribute("aria-checked") !== "true";
  link.setAttribute("aria-checked", String(isOn));
  const name = link.dataset.switch;
  if (name === "wrap") view.log.classList.toggle("log-nowrap", !isOn);
  else view.window.showTimes(isOn);
  keep(view, name, { wrap: isOn ? "" : "off", times: isOn ? "on" : "" }[name]);
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
