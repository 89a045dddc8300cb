// What the pages cannot do by themselves: copy, dialogs, keys, and to stay up to date. Everything works without it.
"use strict";

const base = document.body.dataset.base;

// The time zone, so that the server writes moments as the reader has them; the next page shows it.
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;
document.cookie = `tollbridge_zone=${zone}; path=${base}; max-age=31536000; samesite=lax`;

function copyText(text) {
  // The clipboard is closed to plain http pages; what was selected can be copied everywhere.
  if (navigator.clipboard && window.isSecureContext) return navigator.clipboard.writeText(text);
  const area = document.createElement("textarea");
  area.value = text;
  area.className = "vh";
  (document.querySelector("dialog[open]") || document.body).append(area);
  area.select();
  const done = document.execCommand("copy");
  area.remove();
  return done ? Promise.resolve() : Promise.reject(new Error("not copied"));
}

function wake(root) {
  for (const button of root.querySelectorAll("[data-copy], button[data-dialog]")) button.hidden = false;
  for (const button of root.querySelectorAll("dialog button[data-choose]")) button.firstChild.textContent = "Use";
}
wake(document);

let opener = null;
document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-copy], [data-dialog], [data-close], [data-sheet], [data-keys], [data-choose]");
  if (!target) return;
  if (target.dataset.choose !== undefined && sheet.contains(target)) {
    event.preventDefault();
    choose(target);
    return;
  }
  if (target.dataset.sheet) {
    if (event.ctrlKey || event.metaKey || event.shiftKey) return;
    event.preventDefault();
    openSheet(target);
    return;
  }
  if (target.dataset.keys !== undefined) {
    localStorage.setItem("tollbridge_keys", keysOff() ? "on" : "off");
    sayKeys(document);
    return;
  }
  if (target.dataset.copy !== undefined) {
    const said = target.firstChild;
    const before = said.textContent;
    try { await copyText(target.dataset.copy); said.textContent = "Copied"; } catch { said.textContent = "Not copied"; }
    target.focus();
    setTimeout(() => { said.textContent = before; }, 1500);
  } else if (target.dataset.dialog) {
    const dialog = document.getElementById(target.dataset.dialog);
    if (!dialog) return;
    event.preventDefault();
    opener = target;
    dialog.showModal();
  } else {
    target.closest("dialog").close();
  }
});
document.addEventListener("close", () => opener?.focus(), true);

document.getElementById("refusal")?.focus();

// Where the rail is a line that scrolls, the page that is open stands in its middle.
const rail = document.querySelector("nav.rail");
const openPage = rail?.querySelector("[aria-current]");
if (openPage) rail.scrollLeft = openPage.offsetLeft - (rail.clientWidth - openPage.offsetWidth) / 2;

// Pages that open over the present one: what there is to find, and the keys.
const sheet = Object.assign(document.createElement("dialog"), { className: "sheet" });
document.body.append(sheet);

async function pageAt(address) {
  const answer = await fetch(address, { headers: { accept: "text/html" } });
  return answer.ok && !answer.redirected ? new DOMParser().parseFromString(await answer.text(), "text/html") : null;
}

async function openSheet(link) {
  if (document.querySelector("dialog[open]")) return;
  opener = document.activeElement === document.body ? link : document.activeElement;
  const address = new URL(link.href);
  // What is looked up is asked with what the form says at present.
  for (const name of link.dataset.sheet === "choices" ? ["credential", "integration"] : []) {
    const value = document.getElementById(`field-${name}`)?.value;
    if (value) address.searchParams.set(name, value);
  }
  const part = (await pageAt(address))?.getElementById("sheet");
  if (!part) { location.href = link.href; return; }
  if (document.querySelector("dialog[open]")) return;
  const title = Object.assign(document.createElement("h2"), { id: "sheet-title", textContent: link.textContent });
  const close = Object.assign(document.createElement("button"), { type: "button", className: "btn", textContent: "Close" });
  close.dataset.close = "";
  sheet.setAttribute("aria-labelledby", title.id);
  sheet.replaceChildren(title, part, close);
  sayKeys(sheet);
  wake(sheet);
  sheet.showModal();
  sheet.querySelector("input:not([type=hidden])")?.focus();
}

// An id that was looked up goes into its field: in place of what stands there, or among it.
function choose(thing) {
  const field = document.getElementById(thing.dataset.field);
  if (field) opener = field;
  sheet.close();
  if (!field) return;
  if (field.matches("textarea")) field.setRangeText(thing.dataset.choose, field.selectionStart, field.selectionEnd, "end");
  else field.value = thing.dataset.choose;
}

let asked = 0;
async function search() {
  const form = sheet.querySelector("form.find");
  const mine = ++asked;
  const fresh = await pageAt(`${form.action}?${new URLSearchParams(new FormData(form))}`);
  if (!fresh || mine !== asked) return false;
  for (const id of ["found", "count"]) sheet.querySelector(`#${id}`)?.replaceChildren(...fresh.getElementById(id).childNodes);
  wake(sheet);
  return true;
}
let typing = 0;
sheet.addEventListener("input", () => { clearTimeout(typing); typing = setTimeout(search, Number(sheet.querySelector("form.find")?.dataset.wait ?? 120)); });
sheet.addEventListener("submit", async (event) => {
  event.preventDefault();
  clearTimeout(typing);
  if (await search()) sheet.querySelector("#found a:not([data-choose])")?.click();
});
sheet.addEventListener("keydown", (event) => {
  if (event.key !== "ArrowDown" && event.key !== "ArrowUp") return;
  const places = [...sheet.querySelectorAll("input:not([type=hidden]), #found a, #found [data-choose]")];
  const next = places[places.indexOf(document.activeElement) + (event.key === "ArrowDown" ? 1 : -1)];
  if (next) { event.preventDefault(); next.focus(); }
});
document.addEventListener("keydown", (event) => {
  if (event.key.toLowerCase() !== "k" || !(event.ctrlKey || event.metaKey) || event.altKey || event.shiftKey) return;
  const link = document.querySelector('[data-sheet="find"]');
  if (link) { event.preventDefault(); openSheet(link); }
});

// A calculation is tried while it is typed.
for (const form of document.querySelectorAll("form[data-try]")) {
  let waiting = 0;
  const tryIt = async () => {
    const answer = await fetch(form.dataset.try, { method: "POST", body: new FormData(form) });
    form.querySelector("#tried").textContent = answer.ok && !answer.redirected ? await answer.text() : "It could not be tried.";
  };
  form.addEventListener("input", () => { clearTimeout(waiting); waiting = setTimeout(tryIt, 300); });
  form.addEventListener("submit", (event) => { if (event.submitter?.formNoValidate) { event.preventDefault(); tryIt(); } });
}

// Keys: g and a letter go to a page, / searches, j and k walk through rows, ? tells all this.
function keysOff() { return localStorage.getItem("tollbridge_keys") === "off"; }
function sayKeys(root) {
  for (const button of root.querySelectorAll("[data-keys]")) {
    button.textContent = keysOff() ? "Switch these keys on" : "Switch these keys off";
    button.hidden = false;
  }
}
sayKeys(document);

let going = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  if (keysOff()) return;
  if (going) {
    going = false;
    const link = document.querySelector(`nav.rail a[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  if (event.key === "g") going = true;
  else if (event.key === "?") {
    const link = document.querySelector('[data-sheet="keys"]');
    if (link) { event.preventDefault(); openSheet(link); }
  } else if (event.key === "r" || event.key === "a") {
    const row = document.activeElement.closest("tr");
    const button = (row ?? document.querySelector("main")).querySelector(`[data-press="${event.key}"]`);
    if (button) { event.preventDefault(); button.click(); button.parentElement.querySelector("input:not([type=hidden])")?.focus(); }
  }
  else if (event.key === "/") {
    const search = document.querySelector('main input[type="search"]');
    if (search) { event.preventDefault(); search.focus(); }
  } else if (event.key === "j" || event.key === "k") {
    const links = [...document.querySelectorAll("main .list tbody tr td a:first-of-type")].filter((a, i, all) => all.findIndex((b) => b.closest("tr") === a.closest("tr")) === i);
    const here = links.findIndex((a) => a.closest("tr").contains(document.activeElement));
    const next = links[here + (event.key === "j" ? 1 : here < 0 ? 0 : -1)];
    next?.focus();
  }
});

// Live regions are drawn anew by the page itself, when the stream says that something changed.
const regions = document.querySelectorAll("[data-live]");
const news = document.getElementById("news");
const sayable = (each) => `${each.localName} ${each.getAttribute("href") ?? ""} ${each.textContent.trim()}`;
if (regions.length || news) {
  const about = regions[0]?.dataset.live ?? "";
  const state = document.getElementById("live-state");
  const stream = new EventSource(`${base}/live?${about}`);
  let first = true;
  stream.addEventListener("changed", async () => {
    if (first) { first = false; if (!about) return; }
    if (news) { news.hidden = false; return; }
    const answer = await fetch(location.href, { headers: { accept: "text/html", "tollbridge-watching": "1" } });
    if (!answer.ok || answer.redirected) return;
    const fresh = new DOMParser().parseFromString(await answer.text(), "text/html");
    for (const region of document.querySelectorAll("[data-live]")) {
      const drawn = fresh.getElementById(region.id);
      if (!drawn || drawn.innerHTML === region.innerHTML || region.contains(document.activeElement) && document.activeElement.matches("input, select, textarea")) continue;
      const named = (each) => each.id || each.parentElement.id;
      const open = new Set([...region.querySelectorAll("details[open]")].map(named));
      for (const each of drawn.querySelectorAll("details")) if (named(each) && open.has(named(each))) each.open = true;
      wake(drawn);
      const focused = region.contains(document.activeElement) ? sayable(document.activeElement) : null;
      region.replaceChildren(...drawn.childNodes);
      // Whoever walks by keys stays where they were.
      if (focused) [...region.querySelectorAll("a, button, summary")].find((each) => sayable(each) === focused)?.focus({ preventScroll: true });
    }
    document.title = fresh.title;
  });
  stream.onerror = () => { if (state) state.textContent = "Live updates paused: retrying"; };
  stream.onopen = () => { if (state) state.textContent = ""; };
}
