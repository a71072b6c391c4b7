// Keys of a log: j k scroll, f follows, e goes to the first error, n N walk the hits; Home and End inside it.
const STEP_PIXELS = 60;

export function listenToKeys(view, signal) {
  const acts = {
    j: () => view.log.scrollBy({ top: STEP_PIXELS }),
    k: () => view.log.scrollBy({ top: -STEP_PIXELS }),
    f: () => (view.isFollowing ? view.letGo() : view.follow()),
    e: () => view.querySelector(".log-error").click(),
    n: () => view.walk(1),
    N: () => view.walk(-1),
  };
  document.body.addEventListener("keyboard:key", ({ detail }) => acts[detail]?.(), { signal });
  view.log.addEventListener("keydown", (event) => toEnds(view, event), { signal });
}

function toEnds(view, event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.shiftKey) return;
  if (event.key === "Home" && view.window.first > 1) view.goTo(1);
  else if (event.key === "End") view.follow();
  else return;
  event.preventDefault();
}
