// `/` search, `?` help, `g` then a letter to go somewhere; other keys are told to the page as `keyboard:key`.
// Never inside a field; off by choice.
const PLACES = {
  h: "/",
  m: "/hosts",
  f: "/fleet",
  r: "/runs",
  n: "/runs/new",
  l: "/history",
  t: "/toasts",
  a: "/account",
};
const FIELDS = "input, textarea, select, [contenteditable]";

let isGoing = false;
let timer = 0;

function go(key) {
  isGoing = false;
  if (PLACES[key]) location.assign(PLACES[key]);
}

function awaitPlace() {
  isGoing = true;
  clearTimeout(timer);
  timer = setTimeout(() => {
    isGoing = false;
  }, 1500);
}

function focusSearch(event) {
  const field = document.querySelector("[data-search]") ?? document.querySelector("#find");
  if (!field?.checkVisibility()) return location.assign("/search");
  event.preventDefault();
  field.focus();
  field.select();
}

function showHelp() {
  const dialog = document.querySelector("#keyboard-help");
  if (dialog && !dialog.open) dialog.showModal();
}

function leave(event, field) {
  if (event.key === "Escape" && event.target === field) field.blur();
}

document.addEventListener("keydown", (event) => {
  if (document.documentElement.dataset.keys !== "on" || event.ctrlKey || event.metaKey || event.altKey) return;
  const [origin] = event.composedPath(); // the target itself would be the host of a field in a shadow root
  if (origin.closest?.(FIELDS)) return leave(event, origin);
  if (isGoing) return go(event.key);
  if (event.key === "/") focusSearch(event);
  else if (event.key === "?") showHelp();
  else if (event.key === "g") awaitPlace();
  else if (!document.querySelector("dialog[open]"))
    document.body.dispatchEvent(new CustomEvent("keyboard:key", { detail: event.key }));
});
