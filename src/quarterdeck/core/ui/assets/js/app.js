// On every page: htmx with the token of the visit, the keyboard, and the small elements.
import "htmx.org";
import "./copy.js";
import "./keyboard.js";
import "./menus.js";
import "./times.js";
import "./toasts.js";
import { TOKEN_HEADER } from "./token.js";

document.addEventListener("htmx:config:request", (event) => {
  Object.assign(event.detail.ctx.request.headers, TOKEN_HEADER);
});

document.querySelector("[data-focus]")?.focus();
