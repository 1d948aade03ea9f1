// Copyright: the maas.platform authors. SPDX-License-Identifier: Apache-2.0
// Comfort only: copy buttons, countdowns, fresh numbers. Everything works without it.
"use strict";

const said = document.getElementById("said");

function say(text) {
  // Emptied first: the same words twice would not be read out again.
  said.textContent = "";
  setTimeout(() => { said.textContent = text; }, 50);
}

function duration(seconds) {
  const parts = [];
  let left = Math.max(0, Math.floor(seconds));
  for (const [size, unit] of [[86400, "d"], [3600, "h"], [60, "min"], [1, "s"]]) {
    const number = Math.floor(left / size);
    left %= size;
    if (number) parts.push(`${number} ${unit}`);
  }
  return parts.slice(0, 2).join(" ") || "0 s";
}

// Copying

async function copy(button) {
  const source = document.getElementById(button.dataset.copy);
  try {
    await navigator.clipboard.writeText(source.textContent);
    button.textContent = "Copied";
    say("Copied");
  } catch {
    // No permission, or no secure page: select it, so that a keystroke copies it.
    getSelection().selectAllChildren(source);
    button.textContent = "Selected";
    say("Selected; copy it with the keyboard");
  }
  setTimeout(() => { button.textContent = "Copy"; }, 2500);
}

for (const button of document.querySelectorAll("[data-copy]")) {
  button.hidden = false;
  button.addEventListener("click", () => copy(button));
}

// Forms that take a while

for (const form of document.querySelectorAll("form")) {
  form.addEventListener("submit", (event) => {
    const button = event.submitter;
    if (!button || !button.dataset.busy) return;
    if (form.dataset.sent) { event.preventDefault(); return; }
    form.dataset.sent = "yes";
    button.dataset.text = button.textContent;
    button.textContent = button.dataset.busy;
    button.setAttribute("aria-disabled", "true");
    say(button.dataset.busy);
  });
}

// Somebody who comes back with the Back button finds the form as it was.
addEventListener("pageshow", (event) => {
  if (!event.persisted) return;
  for (const form of document.querySelectorAll("form[data-sent]")) {
    delete form.dataset.sent;
    const button = form.querySelector("[data-busy]");
    button.textContent = button.dataset.text;
    button.removeAttribute("aria-disabled");
  }
});

// Countdowns

const begun = new WeakMap();

function tick() {
  const now = Date.now();
  for (const each of document.querySelectorAll("[data-resets]")) {
    if (!begun.has(each)) begun.set(each, now);
    each.textContent = duration(Number(each.dataset.resets) - (now - begun.get(each)) / 1000);
  }
  for (const each of document.querySelectorAll("[data-until]")) {
    const left = Number(each.dataset.until) - now / 1000;
    each.textContent = left > 0 ? `(${duration(left)} left)` : "(over)";
  }
}

tick();
setInterval(tick, 1000);

// Fresh numbers, while somebody looks

const POLL_SECONDS = 5;

async function refresh(region) {
  if (document.hidden) return;
  let answer;
  try {
    answer = await fetch(region.dataset.poll, { headers: { Accept: "text/html" }, redirect: "error" });
  } catch {
    return; // a moment without network; the next time will do
  }
  if (answer.status === 403) {
    clearInterval(Number(region.dataset.timer));
    const note = document.createElement("p");
    note.className = "note warning";
    note.textContent = "Your session has ended, so these numbers are no longer fresh. Reload the page to sign in again.";
    region.prepend(note);
    say(note.textContent);
    return;
  }
  if (!answer.ok) return;
  const before = region.querySelectorAll(".badge.bad").length;
  region.innerHTML = await answer.text();
  tick();
  if (region.querySelectorAll(".badge.bad").length > before) say("A limit is reached");
}

for (const region of document.querySelectorAll("[data-poll]")) {
  region.dataset.timer = String(setInterval(() => refresh(region), POLL_SECONDS * 1000));
}
