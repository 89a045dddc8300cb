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
}
wake(document);

let opener = null;
document.addEventListener("click", async (event) => {
  const target = event.target.closest("[data-copy], [data-dialog], [data-close]");
  if (!target) return;
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
let going = false;
document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || event.target.closest("input, select, textarea, dialog")) return;
  const keys = localStorage.getItem("tollbridge_keys") !== "off";
  if (!keys) return;
  if (going) {
    going = false;
    const link = document.querySelector(`nav.rail a[data-key="${CSS.escape(event.key)}"]`);
    if (link) { event.preventDefault(); link.click(); }
    return;
  }
  if (event.key === "g") going = true;
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

for (const button of document.querySelectorAll("[data-keys]")) {
  const off = () => localStorage.getItem("tollbridge_keys") === "off";
  const say = () => { button.textContent = off() ? "Switch these keys on" : "Switch these keys off"; };
  button.addEventListener("click", () => { localStorage.setItem("tollbridge_keys", off() ? "on" : "off"); say(); });
  button.hidden = false;
  say();
}

// Live regions are drawn anew by the page itself, when the stream says that something changed.
const regions = document.querySelectorAll("[data-live]");
const news = document.getElementById("news");
if (regions.length || news) {
  const run = regions[0]?.dataset.live ?? "";
  const state = document.getElementById("live-state");
  const stream = new EventSource(`${base}/live?run=${encodeURIComponent(run)}`);
  let first = true;
  stream.addEventListener("changed", async () => {
    if (first) { first = false; if (!run) return; }
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
      region.replaceChildren(...drawn.childNodes);
    }
    document.title = fresh.title;
  });
  stream.onerror = () => { if (state) state.textContent = "Live updates paused: retrying"; };
  stream.onopen = () => { if (state) state.textContent = ""; };
}
