// On every page: htmx with the token of the visit, the keyboard, and the small elements.
import "htmx.org";
import "./keyboard.js";
import "./menus.js";
import "./times.js";
import "./toasts.js";
import "./copy.js";

const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

document.addEventListener("htmx:config:request", (event) => {
  event.detail.ctx.request.headers["X-CSRF-Token"] = token;
});

document.querySelector("[data-focus]")?.focus();
