// The dashboard: draws the status that /events sends once a second. Strings from there become text nodes, never HTML.
"use strict";

const SECONDS_KEPT = 300; // The time range of the charts.
const EVENTS_SHOWN = 256;
const SILENCE_MAX = 3500; // In milliseconds. After two missed updates and a second more, the connection counts as lost.

// The names are those of HAProxy's statistics page. The status comes first.
const GROUPS = [
  ["", ["Backend", "Status"]], ["Queue", ["Cur", "Max", "Limit"]], ["Session rate", ["Cur", "Max"]],
  ["Sessions", ["Cur", "Max", "Limit", "Total", "LbTot", "Last"]], ["Bytes", ["In", "Out"]],
  ["Errors", ["Conn", "Retried"]],
  ["Server", ["LastChk", "Wght", "Act", "Bck", "Chk", "Dwn", "Dwntme", "Thrtle"]],
];

// Columns of text, not of numbers.
const WORDS = ["Backend", "Listener", "Status", "LastChk"];

const MEANINGS = {
  Queue: "Clients of the pool that wait for a backend that is not full.",
  "Session rate": "New connections per second.",
  Sessions: "Connections: current, maximum, limit, total.",
  LbTot: "How often the backend was picked, failed attempts included.",
  Last: "Time since the last connection.",
  In: "Bytes from clients to backends.",
  Out: "Bytes from backends to clients.",
  Conn: "Attempts to connect that failed.",
  Retried: "Failed attempts that were followed by one at another backend (HAProxy: Redis, for redispatched).",
  LastChk: "The result of the last probe, and how long it took.",
  Wght: "The share of new connections.",
  Act: "Y: the backend is in the active tier.",
  Bck: "Y: the backend is in the backup tier.",
  Chk: "Probes that failed.",
  Dwn: "How often the backend went down.",
  Dwntme: "How long the backend was down in total.",
  Thrtle: "The share of the weight that is effective during a slow start.",
};

// Elements.

const byId = (id) => document.getElementById(id);

function make(tag, properties = {}, ...children) {
  const element = document.createElement(tag);
  for (const [name, value] of Object.entries(properties)) {
    if (name in element && name !== "role") element[name] = value;
    else element.setAttribute(name, value);
  }
  element.append(...children);
  return element;
}

function setText(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

// Formatting of numbers.

const WHOLE = new Intl.NumberFormat("en");

function count(number) {
  if (number < 1e5) return WHOLE.format(Math.round(number));
  return scaled(number, 1000, ["", "k", "M", "G", "T"]);
}

function bytes(number) {
  return scaled(number, 1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]);
}

function scaled(number, base, units) {
  let unit = 0;
  while (Math.abs(number) >= base && unit < units.length - 1) {
    number /= base;
    unit += 1;
  }
  const digits = unit === 0 || Math.abs(number) >= 100 ? 0 : 1;
  return `${number.toFixed(digits)} ${units[unit]}`.trim();
}

function rate(number) {
  return number < 9.95 ? number.toFixed(1).replace(".0", "") : count(number);
}

function span(seconds) {
  if (seconds === 0) return "0s";
  if (seconds < 0.01) return `${(seconds * 1000).toFixed(2)}ms`;
  if (seconds < 1) return `${Math.round(seconds * 1000)}ms`;
  if (seconds < 60) return `${Math.floor(seconds)}s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)}m${Math.floor(seconds % 60)}s`;
  if (seconds < 86400) return `${Math.floor(seconds / 3600)}h${Math.floor((seconds % 3600) / 60)}m`;
  return `${Math.floor(seconds / 86400)}d${Math.floor((seconds % 86400) / 3600)}h`;
}

const clock = (date) => date.toLocaleTimeString("en-GB");

// Charts.

const series = new Map(); // By the name of the chart: the times, and the values of each line.

function appendSample(name, time, values) {
  const kept = series.get(name) ?? [[], ...values.map(() => [])];
  [time, ...values].forEach((value, line) => {
    kept[line].push(value);
    if (kept[line].length > SECONDS_KEPT) kept[line].shift();
  });
  series.set(name, kept);
}

class Chart {
  constructor(name, title, lines, show) {
    this.name = name;
    this.show = show;
    this.values = lines.map((line, index) => make("b", { className: index === 0 ? "one" : "two", title: line }));
    const legend = make("span", {});
    lines.forEach((line, index) => legend.append(line === "" ? "" : `${index > 0 ? " · " : ""}${line} `, this.values[index]));
    this.box = make("div");
    this.element = make("figure", { className: "chart" }, make("figcaption", {}, make("span", { textContent: title }), legend), this.box);
    this.lines = lines;
    this.plot = null;
  }

  draw() {
    const data = series.get(this.name);
    if (!data) return;
    this.values.forEach((value, line) => setText(value, this.show(data[line + 1].at(-1))));
    const width = Math.max(this.box.clientWidth, 60);
    if (this.plot === null) this.plot = new uPlot(this.options(width), data, this.box);
    else {
      if (this.plot.width !== width) this.plot.setSize({ width, height: 96 });
      this.plot.setData(data);
    }
  }

  options(width) {
    const style = getComputedStyle(document.documentElement);
    const colour = (name) => style.getPropertyValue(name).trim();
    const powers = Array.from({ length: 50 }, (_, power) => 2 ** power);
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    return {
      width,
      height: 96,
      cursor: { show: false },
      legend: { show: false },
      padding: [10, 16, 0, 0],
      scales: {
        x: { range: (_, __, max) => [max - SECONDS_KEPT, max] },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
      },
      axes: [
        { ...axis, size: 20, space: 80, values: (_, ticks) => ticks.map((tick) => clock(new Date(tick * 1000)).slice(0, 5)), incrs: [60, 120] },
        { ...axis, size: 58, space: 26, values: (_, ticks) => ticks.map((tick) => this.show(tick)), ...(this.show === bytes && { incrs: powers }) },
      ],
      series: [{}, ...this.lines.map((_, index) => {
        const line = colour(index === 0 ? "--info" : "--second");
        return { stroke: line, width: 1.5, fill: index === 0 ? `${line}22` : undefined, points: { show: false } };
      })],
    };
  }

  restyle() {
    this.plot?.destroy();
    this.plot = null;
    this.draw();
  }
}

// Tables: created once, then only cells change, so that selection, focus and scroll position are kept.

function head(groups) {
  const upper = make("tr");
  const lower = make("tr");
  for (const [group, columns] of groups) {
    const title = MEANINGS[group] ?? "";
    upper.append(make("th", { scope: "colgroup", colSpan: columns.length, textContent: group, ...(title && { title }) }));
    for (const column of columns) {
      const meaning = MEANINGS[column] ?? "";
      lower.append(make("th", { scope: "col", textContent: column, className: WORDS.includes(column) ? "words" : "", ...(meaning && { title: meaning }) }));
    }
  }
  return make("thead", {}, upper, lower);
}

function setRow(row, cells) {
  while (row.cells.length < cells.length) {
    row.append(row.cells.length === 0 ? make("th", { scope: "row" }) : make("td"));
  }
  cells.forEach((cell, index) => {
    const element = row.cells[index];
    const { text, state, note, words, hint } = typeof cell === "object" ? cell : { text: String(cell) };
    const key = JSON.stringify([text, state, note]);
    if (element.dataset.key !== key) {
      element.dataset.key = key;
      element.replaceChildren(state ? make("span", { className: `state ${state}`, textContent: text }) : text);
      if (note) element.append(" ", make("small", { textContent: note }));
    }
    if (words) element.className = "words";
    if (hint !== undefined && element.title !== hint) element.title = hint;
    if (hint === "" || hint === undefined) element.removeAttribute("title");
  });
}

// Makes the children of `parent` match `items`, in their order. `create` makes the child of a new key.
function reconcile(parent, items, keyOf, create) {
  const known = new Map([...parent.children].map((child) => [child.dataset.item, child]));
  const wanted = items.map((item) => {
    const key = keyOf(item);
    const child = known.get(key) ?? create(item);
    child.dataset.item = key;
    return child;
  });
  if (wanted.length !== parent.children.length || wanted.some((child, index) => parent.children[index] !== child)) {
    parent.replaceChildren(...wanted);
  }
  return wanted;
}

// Cards, by element.

const cards = new WeakMap();
const charts = () => [...document.querySelectorAll(".card")].flatMap((card) => cards.get(card)?.charts ?? []);

function card(kind, name, columns, caption) {
  const title = make("h3", { textContent: name });
  const summary = make("p");
  const drawn = [
    new Chart(`${kind}/${name}/connections`, "Connections", [""], count),
    new Chart(`${kind}/${name}/rate`, "New connections per second", [""], rate),
    new Chart(`${kind}/${name}/bytes`, "Bytes per second", ["in", "out"], bytes),
  ];
  const body = make("tbody");
  const foot = make("tfoot");
  const table = make("table", {}, make("caption", { textContent: caption }), head(columns), body, foot);
  const scroll = make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, table);
  const element = make("article", { className: "card" },
    make("header", {}, title, summary),
    make("div", { className: "charts" }, ...drawn.map((chart) => chart.element)),
    scroll);
  cards.set(element, { summary, charts: drawn, body, foot });
  return element;
}

const LISTENER_COLUMNS = [
  ["", ["Listener"]], ["Session rate", ["Cur", "Max"]], ["Sessions", ["Cur", "Max", "Limit", "Total"]], ["Bytes", ["In", "Out"]],
  ["", ["Held", "Accept errors"]],
];

function showListener(element, listener) {
  const { summary, charts: drawn, body } = cards.get(element);
  const role = listener.role ? `, for ${listener.role === "primary" ? "the primary" : "replicas"}` : "";
  setText(summary, `${listener.address} to pool ${listener.pool}${role}`);
  const [row] = reconcile(body, [listener], (item) => item.name, () => make("tr"));
  setRow(row, [
    listener.name, rate(listener.rate), rate(listener.rate_max), count(listener.active), count(listener.active_max),
    count(listener.connections_max), count(listener.accepted), bytes(listener.bytes_to_backend), bytes(listener.bytes_to_client),
    count(listener.held), count(listener.accept_errors),
  ]);
  drawn.forEach((chart) => chart.draw());
}

function state(backend) {
  const { overrides } = backend;
  if (overrides.disabled) return ["DISABLED", "info"];
  if (backend.state === "down") return ["DOWN", "down"];
  if (backend.state === "ejected") return ["EJECTED", "down"];
  if (overrides.drained) return ["DRAIN", "info"];
  if (backend.weight === 0) return ["NO WEIGHT", "info"];
  if (backend.role === "lagging") return ["LAGGING", "warning"];
  if (backend.state === "unknown") return backend.probe ? ["UNKNOWN", "warning"] : ["NO CHECK", "up"];
  return ["UP", "up"];
}

const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);

function backendCells(backend) {
  const [word, colour] = state(backend);
  const probe = backend.probe;
  const last = probe ? probe.error ?? "passed" : "none";
  const took = probe?.latency_seconds != null ? `in ${span(probe.latency_seconds)}` : "";
  const since = probe ? span(probe.since_seconds) : "";
  return [
    { text: backend.name, note: backend.name === backend.address ? "" : backend.address },
    { text: word, state: colour, note: [backend.role, since].filter(Boolean).join(" "), words: true }, "", "", "",
    rate(backend.rate), rate(backend.rate_max), count(backend.active), count(backend.active_max),
    backend.connections_max === null ? "-" : count(backend.connections_max), count(backend.connected),
    count(backend.picked), backend.last_seconds === null ? "-" : span(backend.last_seconds),
    bytes(backend.bytes_to_backend), bytes(backend.bytes_to_client), count(backend.connect_failed), count(backend.retried),
    { text: last.length > 40 ? `${last.slice(0, 40)}…` : last, note: took, words: true, hint: last },
    { text: count(backend.weight), note: backend.overrides.weight === null ? "" : "override" },
    backend.tier === "active" ? "Y" : "-", backend.tier === "backup" ? "Y" : "-",
    probe ? count(probe.failed) : "-", probe ? count(probe.downs) : "-", probe ? span(probe.down_seconds) : "-",
    backend.weight_permille < 1000 ? `${backend.weight_permille / 10}%` : "-",
  ];
}

function poolCells(pool) {
  const all = pool.backends;
  const total = (of) => sum(all, of);
  return [
    "All", { text: `${all.filter(takes).length} of ${all.length} take connections`, words: true }, count(pool.queued), count(pool.queued_max), count(pool.queue_size),
    rate(total((one) => one.rate)), "", count(total((one) => one.active)), "", "", count(total((one) => one.connected)),
    count(total((one) => one.picked)), "",
    bytes(total((one) => one.bytes_to_backend)), bytes(total((one) => one.bytes_to_client)),
    count(total((one) => one.connect_failed)), count(total((one) => one.retried)),
    "",
    count(total((one) => one.weight)), count(all.filter((one) => one.tier === "active").length),
    count(all.filter((one) => one.tier === "backup").length), "", "", "", "",
  ];
}

const isAvailable = (backend) => backend.state === "up" || backend.state === "unknown";
const takes = (backend) => isAvailable(backend) && backend.weight > 0;

function percentiles(pool) {
  const took = pool.connect;
  if (!took || took.p50_seconds == null) return "";
  return `connect p50 ${span(took.p50_seconds)}, p90 ${span(took.p90_seconds)}, p99 ${span(took.p99_seconds)}`;
}

function showPool(element, pool) {
  const { summary, charts: drawn, body, foot } = cards.get(element);
  const primary = pool.backends.find((backend) => backend.role === "primary");
  const tiers = pool.backends.some((backend) => backend.tier === "backup") ? `the ${pool.serving} tier serves` : "";
  const parts = [pool.balance.replaceAll("_", " "), tiers, primary ? `primary ${primary.name}` : "", percentiles(pool)];
  setText(summary, parts.filter(Boolean).join(" · "));
  const rows = reconcile(body, pool.backends, (backend) => backend.address, () => make("tr"));
  rows.forEach((row, index) => setRow(row, backendCells(pool.backends[index])));
  const [all] = reconcile(foot, [pool], () => "all", () => make("tr"));
  setRow(all, poolCells(pool));
  drawn.forEach((chart) => chart.draw());
}

// Problems, the most severe first. `info` is a state that an operator or a reload has caused.

function problems(status) {
  const found = [];
  const add = (severity, text) => found.push({ severity, text });
  if (status.phase !== "serving") add("warning", `The process is ${status.phase}: it accepts no new connections.`);
  if (status.config.last_error !== null) add("bad", `The last reload was refused, and the previous configuration is in force: ${status.config.last_error}`);
  if (status.connections.active >= status.connections.max * 0.9) add("warning", `The process has ${count(status.connections.active)} of at most ${count(status.connections.max)} connections.`);
  if (status.access_log?.error) add("warning", `The access log cannot be written: ${status.access_log.error}`);
  for (const listener of status.listeners) {
    if (listener.active >= listener.connections_max * 0.9) add("warning", `Listener ${listener.name}: ${count(listener.active)} of at most ${count(listener.connections_max)} connections.`);
    if (listener.held > 0) add("warning", `Listener ${listener.name}: ${count(listener.held)} clients wait for a primary.`);
  }
  status.pools.forEach((pool) => poolProblems(pool, status, add));
  for (const removed of status.removed ?? []) {
    add("info", `Removed ${removed.kind} ${removed.name}, pool ${removed.pool}: ${count(removed.active)} connections left${remaining(removed.seconds_left)}`);
  }
  const order = ["bad", "warning", "info"];
  return found.sort((one, other) => order.indexOf(one.severity) - order.indexOf(other.severity));
}

function poolProblems(pool, status, add) {
  const name = `Pool ${pool.name}`;
  if (!pool.backends.some(takes)) add("bad", `${name}: no backend takes connections.`);
  if (pool.conflict.length > 0) add("bad", `${name}: ${pool.conflict.join(", ")} all report that they are the primary.`);
  const needsPrimary = status.listeners.some((listener) => listener.pool === pool.name && listener.role === "primary");
  if (needsPrimary && !pool.backends.some((backend) => backend.role === "primary")) add("bad", `${name}: there is no primary.`);
  if (pool.serving === "backup") add("warning", `${name}: the backup tier serves.`);
  if (pool.queued > 0) add("warning", `${name}: ${count(pool.queued)} clients wait for a backend that is not full.`);
  for (const backend of pool.backends) {
    const subject = `${name}, backend ${backend.name}`;
    const [word, colour] = state(backend);
    const since = backend.probe ? ` for ${span(backend.probe.since_seconds)}` : "";
    const why = backend.probe?.error ? `: ${backend.probe.error}` : "";
    if (word === "DOWN") add("bad", `${subject}: down${since}${why}`);
    else if (word === "EJECTED") add("bad", `${subject}: ejected because connects failed${remaining(backend.ejected_for_seconds)}`);
    else if (word === "LAGGING") add("warning", `${subject}: the replica lags too far behind to take reads`);
    else if (word === "UNKNOWN") add("warning", `${subject}: no verdict yet${why}`);
    else if (colour === "info") add("info", `${subject}: ${word.toLowerCase()}${remaining(backend.overrides.drain_seconds_left)}`);
    else if (backend.probe?.error) add("warning", `${subject}: the last probe failed${why}`);
  }
}

const remaining = (seconds) => (seconds == null ? "" : `, for ${span(seconds)} more`);

function showHealth(status) {
  const found = problems(status);
  const wrong = found.filter((problem) => problem.severity !== "info");
  const title = byId("health-title");
  const bad = wrong.some((problem) => problem.severity === "bad");
  title.className = bad ? "bad" : wrong.length > 0 ? "warning" : "good";
  const number = wrong.length === 1 ? "1 problem" : `${wrong.length} problems`;
  setText(title, wrong.length === 0 ? "No problems" : number);
  document.title = wrong.length === 0 ? "rondel: no problems" : `rondel: ${number}`;
  const items = reconcile(byId("problems"), found, (problem) => problem.text.replace(/ for [\dsmhd]+|[\d,]+ (clients|connections)/g, ""), () => make("li"));
  items.forEach((item, index) => {
    item.className = found[index].severity;
    setText(item, found[index].text);
  });
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
    note: `${count(worker.buffers_free)} of ${count(worker.buffers)} buffers free, ${count(worker.overflows)} overflows`,
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

// Updates.

let before = null; // The previous status, for rates.
let startedAt = null;
let receivedAt = null; // By the clock of the browser.

function onStatus(status) {
  if (startedAt !== status.started_at) {
    // Another process: its counters and events start again.
    startedAt = status.started_at;
    before = null;
    series.clear();
    lastEvent = 0;
    byId("events").replaceChildren();
  }
  appendSamples(status);
  before = status;
  showFacts(status);
  showHealth(status);
  const listeners = reconcile(byId("listeners"), status.listeners, (item) => item.name,
    (item) => card("listener", item.name, LISTENER_COLUMNS, `Listener ${item.name}`));
  listeners.forEach((element, index) => showListener(element, status.listeners[index]));
  const pools = reconcile(byId("pools"), status.pools, (item) => item.name,
    (item) => card("pool", item.name, GROUPS, `Backends of pool ${item.name}`));
  pools.forEach((element, index) => showPool(element, status.pools[index]));
  showCloses(status);
  showWorkers(status);
  byId("main").setAttribute("aria-busy", "false");
}

// Adds a sample to every chart. Rates need two statuses.
function appendSamples(status) {
  const time = status.started_at + status.uptime_seconds;
  const seconds = before ? status.uptime_seconds - before.uptime_seconds : 0;
  if (seconds <= 0) return;
  const perSecond = (now, then) => Math.max(0, now - then) / seconds;
  const all = (kind, name, now, then, total) => {
    const grown = (of) => perSecond(sum(now, of), sum(then, of));
    appendSample(`${kind}/${name}/connections`, time, [sum(now, (one) => one.active)]);
    appendSample(`${kind}/${name}/rate`, time, [grown(total)]);
    appendSample(`${kind}/${name}/bytes`, time, [grown((one) => one.bytes_to_backend), grown((one) => one.bytes_to_client)]);
  };
  for (const listener of status.listeners) {
    const then = before.listeners.find((one) => one.name === listener.name);
    if (then) all("listener", listener.name, [listener], [then], (one) => one.accepted);
  }
  for (const pool of status.pools) {
    const then = before.pools.find((one) => one.name === pool.name);
    if (then) all("pool", pool.name, pool.backends, then.backends, (one) => one.connected);
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

let events = null;

function connect() {
  events?.close();
  events = new EventSource("/events");
  events.addEventListener("status", (event) => {
    onReceived();
    onStatus(JSON.parse(event.data));
  });
  events.addEventListener("events", (event) => showEvents(JSON.parse(event.data)));
  events.addEventListener("error", onLost);
}

connect();
setInterval(() => {
  if (receivedAt !== null && Date.now() - receivedAt > SILENCE_MAX) onLost();
  // After an error response, such as too many viewers, the browser does not reconnect by itself.
  if (events.readyState === EventSource.CLOSED) connect();
}, 1000);
addEventListener("resize", () => charts().forEach((chart) => chart.draw()));
matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => charts().forEach((chart) => chart.restyle()));
