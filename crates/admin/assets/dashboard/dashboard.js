// Draws the status that `/events` sends once a second.

const EVENTS_SHOWN = 256;
const PROBLEMS_SHOWN = 8;
const SILENCE_MAX = 3500; // In milliseconds. After two missed updates and a second more, the connection counts as lost.

let latest = null; // The latest status.
let before = null; // The one before it, for rates.

function show() {
  if (latest === null) return;
  showFacts(latest);
  showProblems(latest.problems);
  showPools(latest, judge(latest));
  showListeners(latest);
  showCloses(latest);
  showWorkers(latest);
}

function showFacts(status) {
  const { config, connections } = status;
  const read = clock(new Date(config.loaded_at * 1000));
  const refused = config.refused > 0 ? `, ${config.refused} refused` : "";
  setText(byId("summary"), [
    `version ${status.version}`, status.phase, `up ${span(status.uptime_seconds)}`,
    `${count(connections.active)} of ${count(connections.max)} connections`,
    `configuration read at ${read} (reloads: ${config.applied} applied${refused})`,
  ].join(" · "));
}

let areAllShown = false; // All problems, not only the first ones.

function showProblems(problems) {
  const wrong = problems.filter((problem) => problem.severity !== "note");
  const title = byId("health-title");
  title.className = wrong[0]?.severity ?? "good";
  const number = plural(wrong.length, "problem");
  setText(title, wrong.length === 0 ? "No problems" : number);
  document.title = wrong.length === 0 ? "rondel: no problems" : `rondel: ${number}`;
  const found = joined(problems);
  const shown = areAllShown ? found : found.slice(0, PROBLEMS_SHOWN);
  // Numbers in a text may change each second; several problems of a pool may be of one kind.
  const known = new Map();
  const keyOf = ({ severity, kind, of, pool, names }) => {
    const key = [severity, kind, of, pool, ...names].join();
    known.set(key, (known.get(key) ?? 0) + 1);
    return `${key} ${known.get(key)}`;
  };
  const items = reconcile(byId("problems"), shown, keyOf, problemItem);
  items.forEach((item, index) => setText(item.querySelector(".text"), sentence(shown[index])));
  const more = byId("more-problems");
  more.hidden = found.length <= PROBLEMS_SHOWN;
  setText(more, areAllShown ? `Show the first ${PROBLEMS_SHOWN}` : `Show ${found.length - PROBLEMS_SHOWN} more`);
}

const NAMES_LINKED = 5;

// `pool web: ...`, a link to the row of the pool; or `pools web, api and 13 more: ...`, each a link.
function problemItem({ severity, of, pool, listener, names }) {
  const text = make("span", { className: "text" });
  const item = make("li", { className: severity }, make("span", { className: "severity", textContent: severity }), " ");
  const link = (row, ...content) => make("a", { href: fragmentOf(row) }, ...content);
  const toName = (name, ...more) => link({ [of]: name }, make("b", { textContent: name }), ...more);
  if (of === "" && pool === null) item.append(text);
  else if (of === "") item.append(link({ pool }, text));
  else if (names.length === 1) item.append(`${of} `, toName(names[0], ": ", text));
  else {
    item.append(`${of}s `);
    names.slice(0, NAMES_LINKED).forEach((name, index) => item.append(index > 0 ? ", " : "", toName(name)));
    const more = `${names.length - NAMES_LINKED} more`;
    const state = severity === "note" ? "changed" : "problem";
    if (names.length > NAMES_LINKED) item.append(" and ", of === "pool" ? link({ state }, more) : more);
    item.append(": ", text);
  }
  return item;
}

// Bars.

function showBars(parent, items, none) {
  if (items.length === 0) return parent.replaceChildren(make("p", { className: "card empty", textContent: none }));
  let list = parent.querySelector("dl");
  const key = items.map((item) => item.name).join();
  if (!list || list.dataset.key !== key) {
    list = make("dl", { className: "card bars" });
    list.dataset.key = key;
    for (const item of items) {
      list.append(make("dt", item.meaning ? { title: item.meaning } : {}, item.name, make("small")),
        make("dd", {}, make("meter", { min: 0, "aria-label": item.name })), make("dd"));
    }
    parent.replaceChildren(list);
  }
  const max = Math.max(...items.map((item) => item.value), 1);
  items.forEach((item, index) => {
    const meter = list.children[index * 3 + 1].firstChild;
    meter.max = max;
    meter.value = item.value;
    setText(list.children[index * 3 + 2], count(item.value));
    setText(list.children[index * 3].lastChild, item.note ?? "");
  });
}

function showCloses(status) {
  const totals = new Map();
  for (const listener of status.listeners) {
    for (const [reason, number] of Object.entries(listener.closed)) totals.set(reason, (totals.get(reason) ?? 0) + number);
  }
  const items = [...totals].map(([name, value]) => ({ name, value, meaning: REASONS[name] }));
  showBars(byId("closes"), items.sort((one, other) => other.value - one.value), "No connection has ended yet.");
}

function showWorkers(status) {
  const items = status.workers.map((worker, index) => ({
    name: `worker ${index}`,
    value: worker.active,
    meaning: "Connections; free receive buffers; how often the completion queue was full.",
    note: `${count(worker.buffers_free)} of ${count(worker.buffers)} buffers free, ${plural(worker.overflows, "overflow")}`,
  }));
  showBars(byId("workers"), items, "There is no worker.");
}

// Events, newest first.

let lastEvent = 0; // Its number.

function showEvents(entries) {
  const list = byId("events");
  for (const entry of entries) {
    if (entry.number <= lastEvent) continue;
    lastEvent = entry.number;
    const at = new Date(entry.at * 1000);
    list.prepend(make("li", { className: entry.level },
      make("time", { dateTime: at.toISOString(), title: at.toLocaleString(), textContent: clock(at) }),
      make("span", { className: "kind", textContent: entry.kind }),
      make("span", { className: "text", textContent: entry.text })));
  }
  while (list.children.length > EVENTS_SHOWN) list.lastChild.remove();
}

// The meanings of the columns, for keyboards and telephones, which have no pointer to hover with.

function listColumns() {
  const rows = [...POOL_COLUMNS, ...LISTENER_COLUMNS, ...BACKEND_COLUMNS].filter((column) => column.meaning);
  const seen = new Set();
  for (const { group, name, haproxy, meaning } of rows) {
    const title = [group, name].filter(Boolean).join(": ");
    if (seen.has(title)) continue;
    seen.add(title);
    byId("columns").append(make("dt", { textContent: title }), make("dd", { textContent: haproxy ?? "-" }), make("dd", { textContent: meaning }));
  }
}

// Operation.

function toggle(name) {
  const isOpen = opened.get(name) !== true;
  opened.set(name, isOpen);
  if (isOpen) setView({ pool: name, listener: "" });
  else if (view.pool === name) setView({ pool: "" });
  show();
}

function sortBy(order) {
  setView({ sort: order });
  isSorted = false;
  show();
}

function toggleAll() {
  const names = [...poolTable.tBodies].map((body) => body.dataset.item);
  const isOpen = !names.every((name) => opened.get(name));
  names.forEach((name) => opened.set(name, isOpen));
  show();
}

// Shows what the fragment names, even if the filter would hide it: the fragment of a row has no filter.
function goToFragment() {
  readFragment();
  if (view.pool !== "") opened.set(view.pool, true);
  if (view.listener !== "") byId("listeners").open = true;
  isSorted = false;
  if (latest === null) return;
  show();
  const target = document.querySelector("tbody.target, tr.target");
  if (target === null) return;
  target.scrollIntoView({ block: "nearest" });
  target.querySelector("button, a")?.focus({ preventScroll: true });
}

function onKey(event) {
  const isTyping = event.target.matches("input, textarea");
  if (event.key === "/" && !isTyping && !event.ctrlKey && !event.metaKey && !event.altKey) {
    event.preventDefault();
    byId("filter").select();
  }
  const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
  if (step && event.target.matches("button.fold, #filter")) {
    const folds = [...poolTable.querySelectorAll("button.fold")];
    const next = folds[folds.indexOf(event.target) + step];
    if (next) {
      event.preventDefault();
      next.focus();
    } else if (step < 0) byId("filter").focus();
  }
}

byId("pools").append(poolTable);
byId("listeners").append(listenerTable);
listColumns();
byId("filter").addEventListener("input", (event) => {
  setView({ q: event.target.value });
  isSorted = false;
  show();
});
for (const button of byId("states").children) {
  button.addEventListener("click", () => {
    setView({ state: button.value });
    isSorted = false;
    show();
  });
}
byId("clear").addEventListener("click", () => {
  setView({ q: "", state: DEFAULTS.state });
  byId("filter").focus();
  byId("filter").value = "";
  show();
});
byId("fold-all").addEventListener("click", toggleAll);
byId("more-problems").addEventListener("click", () => {
  areAllShown = !areAllShown;
  show();
});
addEventListener("hashchange", goToFragment);
addEventListener("keydown", onKey);
addEventListener("resize", () => charts().forEach((chart) => chart.draw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts().forEach((chart) => chart.restyle?.()));

// Updates.

let startedAt = null;
let receivedAt = null; // By the clock of the browser.

function onStatus(status) {
  const isFirst = latest === null;
  if (startedAt !== status.started_at) {
    // Another process: its counters and events start again.
    startedAt = status.started_at;
    before = null;
    series.clear();
    lastEvent = 0;
    byId("events").replaceChildren();
  }
  chartsEnd = nowOf(status);
  appendSamples(status);
  forgetSeries(status);
  before = status;
  latest = status;
  if (isFirst) {
    byId("listeners").open = byId("listeners").open || status.listeners.length <= FEW_POOLS;
    goToFragment();
  } else show();
  byId("main").setAttribute("aria-busy", "false");
}

// Adds a sample to every chart. Bytes per second need two statuses.
function appendSamples(status) {
  const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
  if (seconds <= 0) return;
  const addressOf = (one) => one.address ?? one.addresses[0];
  const add = (key, now, then) => {
    const grown = (of) => sum(now, (one) => Math.max(0, one[of] - (then.get(addressOf(one)) ?? one)[of])) / seconds;
    appendSample(key, nowOf(status), {
      active: sum(now, (one) => one.active), rate: sum(now, (one) => one.rate),
      bytes_to_backend: grown("bytes_to_backend"), bytes_to_client: grown("bytes_to_client"),
    });
  };
  const byAddress = (all) => new Map(all.map((one) => [addressOf(one), one]));
  const listeners = byAddress(before.listeners);
  for (const listener of status.listeners) add(`listener/${listener.name}`, [listener], listeners);
  const pools = new Map(before.pools.map((pool) => [pool.name, pool.backends]));
  for (const pool of status.pools) add(`pool/${pool.name}`, pool.backends, byAddress(pools.get(pool.name) ?? []));
}

async function loadHistory() {
  try {
    const response = await get("/history.json");
    if (!response.ok) return;
    prependHistory(await response.json());
    show();
  } catch {
    // The charts begin with this page.
  }
}

function onReceived() {
  receivedAt = new Date();
  if (document.body.classList.contains("lost") || byId("connection").textContent !== "Live") {
    document.body.classList.remove("lost");
    setText(byId("connection"), "Live");
  }
}

function onLost() {
  if (document.body.classList.contains("lost")) return;
  document.body.classList.add("lost");
  setText(byId("connection"), receivedAt === null ? "Disconnected" : `Disconnected since ${clock(receivedAt)}`);
  document.title = "rondel: disconnected";
}

readFragment();
let isNew = true;
watch({
  open: () => (isNew = true),
  status: (data) => {
    onReceived();
    onStatus(JSON.parse(data));
    // After the first status, which discards the samples of another process.
    if (isNew) loadHistory();
    isNew = false;
  },
  events: (data) => showEvents(JSON.parse(data)),
  lost: onLost,
});
setInterval(() => {
  if (receivedAt !== null && Date.now() - receivedAt > SILENCE_MAX && byId("token").hidden) onLost();
}, 1000);
