// The token of the visit, which every change carries.
const token = document.querySelector('meta[name="csrf-token"]')?.content ?? "";

export const TOKEN_HEADER = { "X-CSRF-Token": token };

/** Sends a change that needs no answer; a failure is left to the next page, which shows how things stand. */
export function send(url) {
  return fetch(url, { method: "POST", headers: TOKEN_HEADER, redirect: "manual" }).catch(() => null);
}
