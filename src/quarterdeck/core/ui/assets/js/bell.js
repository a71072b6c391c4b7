// The bell counts what arrives while the page is open.
const badge = document.querySelector("[data-toast-count]");

document.body.addEventListener("live:toast:new", () => {
  const number = badge.querySelector("[data-number]");
  number.textContent = Number.parseInt(number.textContent, 10) + 1;
  badge.hidden = false;
});
