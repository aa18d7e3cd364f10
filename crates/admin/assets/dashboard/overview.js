// One line for each pool, with its details below it while it is open; and one line for each listener.

// `sort` is the order that a click on the column selects. Columns with `isWide` are left out on narrow screens.
const POOL_COLUMNS = [
  { name: "Pool", sort: "name", isWords: true },
  { name: "State", sort: "state", isWords: true, haproxy: "Status", meaning: "The most severe state of the pool and its backends." },
  { name: "Available", isWide: true, haproxy: "Act and Bck", meaning: "Backends that take connections, of all." },
  { name: "Connections", sort: "active", haproxy: "Sessions, Cur", meaning: "Connections that exist." },
  { name: "New per second", sort: "rate", isWide: true, haproxy: "Session rate, Cur", meaning: "New connections in the last second." },
  { name: "Bytes per second, in and out", sort: "bytes", isWide: true, haproxy: "Bytes, as totals", meaning: "In: from clients to backends." },
  { name: "Queue", sort: "queued", isWide: true, haproxy: "Queue, Cur", meaning: "Clients that wait for a backend that is not full." },
];

const LISTENER_COLUMNS = [
  { name: "Listener", isWords: true },
  { name: "Pool", isWords: true },
  { name: "Connections", haproxy: "Sessions, Cur", meaning: "Connections that exist." },
  { name: "New per second", isWide: true, haproxy: "Session rate, Cur", meaning: "New connections in the last second." },
  { name: "Bytes per second, in and out", isWide: true, haproxy: "Bytes, as totals", meaning: "In: from clients to backends." },
  { name: "Limit", isWide: true, haproxy: "Sessions, Limit", meaning: "The limit of connections." },
  { name: "Total", isWide: true, haproxy: "Sessions, Total", meaning: "Connections since the start." },
  { name: "Held", isWide: true, meaning: "Connections whose client waits for a primary." },
  { name: "Accept errors", isWide: true, meaning: "How often accept(2) failed." },
];

const NO_SORT = "";

function headOfLines(columns, onSort) {
  const row = make("tr");
  for (const column of columns) {
    const hint = hintOf(column);
    const title = column.sort
      ? make("button", { type: "button", textContent: column.name, onclick: () => onSort(column.sort) })
      : column.name;
    const cell = make("th", { scope: "col", className: classOf(column), ...(hint && { title: hint }) }, title);
    cell.dataset.sort = column.sort ?? NO_SORT;
    row.append(cell);
  }
  return make("thead", {}, row);
}

const classOf = ({ isWords, isWide }) => [isWords && "words", isWide && "wide"].filter(Boolean).join(" ");

// A number with a line of the last five minutes beside it.
class Trend {
  constructor(key, lines, kind = "") {
    this.number = make("span", { className: "number" });
    this.spark = new Spark(key, lines);
    this.element = make("div", { className: `trend ${kind}` }, this.spark.element, this.number);
  }

  show(text) {
    setText(this.number, text);
    this.spark.draw();
  }
}

const trends = (key) => [new Trend(key, ["active"]), new Trend(key, ["rate"]), new Trend(key, ["bytes_to_backend", "bytes_to_client"], "bytes")];

function showTrends([active, perSecond, traffic], key, connections, new_connections) {
  const kept = series.get(key);
  const last = (line) => bytes(kept?.[line].at(-1) ?? 0);
  active.show(count(connections));
  perSecond.show(rate(new_connections));
  traffic.show(`${last("bytes_to_backend")} · ${last("bytes_to_client")}`);
}

// Widths of parts of a bar, by severity.
class Strip {
  constructor() {
    this.parts = SEVERITIES.map((severity) => make("i", { className: severity }));
    this.element = make("span", { className: "strip", "aria-hidden": "true" }, ...this.parts);
  }

  show(backends) {
    const numbers = SEVERITIES.map((severity) => backends.filter((backend) => stateOf(backend)[1] === severity).length);
    this.parts.forEach((part, index) => (part.style.flexGrow = numbers[index]));
  }
}

class PoolLine {
  constructor({ name }) {
    this.name = name;
    this.key = `pool/${name}`;
    const details = `details of ${name}`;
    this.fold = make("button", { type: "button", className: "fold", "aria-label": details, onclick: () => toggle(name) });
    this.link = make("a", { href: fragmentOf({ pool: name }), textContent: name, title: "A link to this pool" });
    this.state = make("td", { className: "words" });
    this.strip = new Strip();
    this.available = make("span");
    this.trends = trends(this.key);
    this.queue = make("td", { className: "wide" });
    const [active, ...wide] = this.trends.map((trend, index) => make("td", { className: index > 0 ? "wide" : "" }, trend.element));
    this.row = make("tr", { className: "line" },
      make("th", { scope: "row", className: "words" }, this.fold, this.link), this.state,
      make("td", { className: "wide" }, this.available, this.strip.element), active, ...wide, this.queue);
    this.element = make("tbody", {}, this.row);
    this.element.line = this;
    this.details = null;
  }

  show(pool, judgement, status) {
    setCell(this.state, { text: judgement.word, state: judgement.severity, hint: judgement.text });
    setText(this.available, `${pool.backends.filter(takes).length} of ${pool.backends.length}`);
    this.strip.show(pool.backends);
    showTrends(this.trends, this.key, KEYS.active(pool), KEYS.rate(pool));
    setText(this.queue, count(pool.queued));
    const isOpen = opened.get(pool.name) === true;
    this.fold.setAttribute("aria-expanded", isOpen);
    this.element.classList.toggle("target", view.pool === pool.name);
    if (isOpen && this.details === null) {
      this.details = new PoolDetails(pool.name);
      this.element.append(this.details.element);
    } else if (!isOpen && this.details !== null) {
      this.details.element.remove();
      this.details = null;
    }
    this.details?.show(pool, status);
  }
}

class PoolDetails {
  constructor(name) {
    this.summary = make("p");
    this.charts = threeCharts(`pool/${name}`);
    this.backends = new BackendTable(name);
    const box = make("div", { className: "details" }, this.summary,
      make("div", { className: "charts" }, ...this.charts.map((chart) => chart.element)), this.backends.element);
    this.element = make("tr", { className: "detail" }, make("td", { colSpan: POOL_COLUMNS.length }, box));
  }

  show(pool, status) {
    setText(this.summary, summaryOf(pool, status));
    this.charts.forEach((chart) => chart.draw());
    this.backends.show(pool, selection(pool));
  }
}

// Its own pool first, then those of its routes, each once.
// The addresses of a listener, the first ones of many.
const addressesOf = ({ addresses }) => {
  const shown = addresses.slice(0, addresses.length > 3 ? 2 : 3);
  return shown.join(", ") + (addresses.length > shown.length ? ` and ${addresses.length - shown.length} more` : "");
};

const poolsOf = (listener) => [...new Set([listener.pool, ...listener.routes.map((route) => route.pool)])];

function summaryOf(pool, status) {
  const primary = pool.backends.find((backend) => backend.role === "primary");
  const tiers = pool.backends.some((backend) => backend.tier === "backup") ? `the ${pool.serving} tier serves` : "";
  const listeners = status.listeners.filter((listener) => poolsOf(listener).includes(pool.name));
  const from = listeners.map((listener) => `${listener.name} (${addressesOf(listener)}${listener.role ? `, ${listener.role}` : ""})`).join(", ");
  const queue = `queue ${count(pool.queued)} of ${count(pool.queue_size)}, most ${count(pool.queued_max)}`;
  return [
    from && `listeners: ${from}`, pool.balance.replaceAll("_", " "), tiers, primary && `primary ${primary.name}`, queue, percentiles(pool),
  ].filter(Boolean).join(" · ");
}

function percentiles({ connect }) {
  if (!connect || connect.p50_seconds == null) return "";
  return `connect p50 ${span(connect.p50_seconds)}, p90 ${span(connect.p90_seconds)}, p99 ${span(connect.p99_seconds)}`;
}

class ListenerLine {
  constructor({ name }) {
    this.key = `listener/${name}`;
    this.trends = trends(this.key);
    this.cells = LISTENER_COLUMNS.map((column, index) => make(index === 0 ? "th" : "td", { className: classOf(column) }));
    this.cells[0].scope = "row";
    this.trends.forEach((trend, index) => this.cells[2 + index].append(trend.element));
    this.pool = make("a");
    this.role = make("small");
    this.cells[1].append(this.pool, " ", this.role);
    this.element = make("tr", { className: "line" }, ...this.cells);
    this.element.line = this;
  }

  show(listener) {
    setCell(this.cells[0], { text: listener.name, note: addressesOf(listener) });
    const others = poolsOf(listener).length - 1;
    setText(this.pool, others > 0 ? `${listener.pool} +${others}` : listener.pool);
    this.pool.title = others > 0 ? listener.routes.map((route) => `${route.name}: pool ${route.pool}`).join("\n") : "";
    this.pool.href = fragmentOf({ pool: listener.pool });
    setText(this.role, listener.role ?? "");
    showTrends(this.trends, this.key, listener.active, listener.rate);
    const rest = [listener.connections_max, listener.accepted, listener.held, listener.accept_errors];
    rest.forEach((number, index) => setText(this.cells[5 + index], count(number)));
    this.element.classList.toggle("target", view.listener === listener.name);
  }
}

// Builds both tables once.
const poolTable = make("table", { className: "lines" }, make("caption", { textContent: "Pools" }), headOfLines(POOL_COLUMNS, sortBy));
const listenerBody = make("tbody");
const listenerTable = make("table", { className: "lines" }, make("caption", { textContent: "Listeners" }),
  headOfLines(LISTENER_COLUMNS), listenerBody);

// A row does not move while the pointer or the focus is in the table.
const isHeld = () => poolTable.matches(":hover") || poolTable.contains(document.activeElement);
let isSorted = false; // Whether the order was made since it was selected.

function showPools(status, judgements) {
  const known = new Set(status.pools.map((pool) => pool.name));
  [...opened.keys()].filter((name) => !known.has(name)).forEach((name) => opened.delete(name));
  openByItself(status.pools, judgements);
  let wanted = status.pools.filter((pool) => matchesPool(pool, judgements.get(pool.name)));
  wanted = inOrder(wanted, judgements, view.sort);
  if (isSorted && isHeld()) wanted = asShown(wanted);
  isSorted = true;
  const lines = reconcile(poolTable, wanted, (pool) => pool.name, (pool) => new PoolLine(pool).element);
  lines.forEach((element, index) => element.line.show(wanted[index], judgements.get(wanted[index].name), status));
  for (const cell of poolTable.tHead.rows[0].cells) {
    if (cell.dataset.sort) cell.ariaSort = cell.dataset.sort !== view.sort ? "none" : view.sort === "name" ? "ascending" : "descending";
  }
  showFilter(status, judgements, wanted.length);
}

// The same pools in the order of the rows that exist; new ones last.
function asShown(pools) {
  const places = new Map([...poolTable.tBodies].map((body, index) => [body.dataset.item, index]));
  const place = (pool) => places.get(pool.name) ?? Infinity;
  return [...pools].sort((one, other) => place(one) - place(other) || 0);
}

function showListeners(status) {
  const wanted = status.listeners.filter(matchesListener);
  const lines = reconcile(listenerBody, wanted, (listener) => listener.name, (listener) => new ListenerLine(listener).element);
  lines.forEach((element, index) => element.line.show(wanted[index]));
  setText(byId("listeners-title"), `Listeners (${wanted.length === status.listeners.length ? "" : `${wanted.length} of `}${status.listeners.length})`);
}

function showFilter(status, judgements, shown) {
  for (const button of byId("states").children) {
    const number = status.pools.filter((pool) => FILTERS[button.value](judgements.get(pool.name))).length;
    setText(button.lastElementChild, count(number));
    button.ariaPressed = view.state === button.value;
  }
  if (document.activeElement !== byId("filter") && byId("filter").value !== view.q) byId("filter").value = view.q;
  byId("nothing").hidden = shown > 0;
  const all = [...poolTable.tBodies].every((body) => opened.get(body.dataset.item));
  setText(byId("fold-all"), all ? "Fold all" : "Unfold all");
}
