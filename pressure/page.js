"use strict";
// Everything that the page shows comes from /v1/state and /v1/plot; everything
// that it does is a request that a script could send as well.

// The origin has no credentials in it, which the page's own address may have:
// then fetch would refuse what is relative to it.
const api = location.origin + "/v1/";

const cards = [...document.querySelectorAll("[data-resource]")];

function size(bytes) {
  const units = ["B", "KiB", "MiB", "GiB", "TiB", "PiB"];
  let i = 0;
  while (bytes >= 1024 && i < units.length - 1) { bytes /= 1024; i++; }
  return Number(bytes.toPrecision(bytes >= 1000 ? 4 : 3)) + " " + units[i];
}

function fact(resource, name, value) {
  if (name === "inodes") return String(value);
  return resource === "cpu" ? Number(value.toFixed(2)) + (value === 1 ? " core" : " cores") : size(value);
}

function say(card, text, bad) {
  const p = card.querySelector(".say");
  if (p.textContent !== text) p.textContent = text;
  p.classList.toggle("bad", Boolean(bad));
}

function show(card, state) {
  const resource = card.dataset.resource;
  for (const dd of card.querySelectorAll("[data-fact]")) dd.textContent = fact(resource, dd.dataset.fact, state[dd.dataset.fact]);
  if (state.working) say(card, "working…");
  else if (state.reason) say(card, state.reason, true);
  else if (!card.dataset.refused) say(card, state.until ? "until " + new Date(state.until).toLocaleTimeString() : "");
}

async function ask(card, method, body) {
  card.dataset.refused = "";
  const answer = await fetch(api + card.dataset.resource, {
    method, body: body && JSON.stringify(body), headers: { "Content-Type": "application/json" },
  });
  const told = await answer.json();
  if (!answer.ok) {
    card.dataset.refused = "yes";
    say(card, told.error, true);
    return;
  }
  show(card, told);
}

for (const card of cards) {
  const form = card.querySelector("form");
  form.addEventListener("submit", (event) => {
    event.preventDefault();
    const body = {};
    for (const field of form.elements) {
      if (field.name === "" || field.value === "") continue;
      if (field.type === "checkbox") body[field.name] = field.checked;
      else body[field.name] = field.type === "number" ? Number(field.value) : field.value.trim();
    }
    ask(card, "PUT", body).catch((error) => say(card, String(error), true));
  });
  card.querySelector("[data-release]").addEventListener("click", () => {
    ask(card, "DELETE").catch((error) => say(card, String(error), true));
  });
}

const link = document.getElementById("link");

async function refresh() {
  try {
    const answer = await fetch(api + "state");
    if (!answer.ok) throw new Error(await answer.text());
    const state = await answer.json();
    for (const card of cards) show(card, state[card.dataset.resource]);
    await Promise.all(cards.map(async (card) => {
      const plot = card.querySelector(".plot");
      const drawn = await fetch(`${api}plot/${card.dataset.resource}?width=${Math.round(plot.clientWidth)}`);
      if (drawn.ok) plot.innerHTML = await drawn.text();
    }));
    link.textContent = "live";
  } catch (error) {
    link.textContent = "no connection: " + error.message;
  }
  setTimeout(refresh, document.hidden ? 5000 : 1000);
}
refresh();
