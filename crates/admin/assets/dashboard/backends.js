// The table of the backends of one pool: sick ones first, and of many only the first ones until asked for more.

// Group, name, the name on HAProxy's statistics page, meaning. Columns of words are aligned to the left.
const BACKEND_COLUMNS = [
  { name: "Backend", isWords: true },
  { name: "State", isWords: true, haproxy: "Status", meaning: "The state, its role, and for how long." },
  { group: "Connections", name: "Now", haproxy: "Sessions, Cur", meaning: "Connections that exist." },
  { group: "Connections", name: "Most", haproxy: "Sessions, Max", meaning: "The most connections at once, sampled once a second." },
  { group: "Connections", name: "Limit", haproxy: "Sessions, Limit", meaning: "The limit of connections." },
  { group: "Connections", name: "Total", haproxy: "Sessions, Total", meaning: "Connections since the start." },
  { group: "Connections", name: "Last", haproxy: "Last", meaning: "Time since the last connection." },
  { group: "New per second", name: "Now", haproxy: "Session rate, Cur", meaning: "New connections in the last second." },
  { group: "New per second", name: "Most", haproxy: "Session rate, Max", meaning: "The most new connections in a second." },
  { group: "Bytes", name: "In", haproxy: "Bytes, In", meaning: "Bytes from clients to backends." },
  { group: "Bytes", name: "Out", haproxy: "Bytes, Out", meaning: "Bytes from backends to clients." },
  { group: "Connects", name: "Tried", haproxy: "LbTot", meaning: "How often the backend was picked, failed attempts included." },
  { group: "Connects", name: "Failed", haproxy: "Errors, Conn", meaning: "Attempts to connect that failed." },
  {
    group: "Connects", name: "Retried", haproxy: "Redis, for redispatches",
    meaning: "Failed attempts that were followed by one at another backend.",
  },
  { group: "Probe", name: "Result", isWords: true, haproxy: "LastChk", meaning: "The result of the last probe, and how long it took." },
  { group: "Probe", name: "Failed", haproxy: "Chk", meaning: "Probes that failed." },
  { group: "Down", name: "Times", haproxy: "Dwn", meaning: "How often the backend went down." },
  { group: "Down", name: "Total", haproxy: "Dwntme", meaning: "How long the backend was down in total." },
  { group: "Share", name: "Weight", haproxy: "Wght", meaning: "The share of new connections." },
  { group: "Share", name: "Tier", isWords: true, haproxy: "Act and Bck", meaning: "Active, or backup: it serves when too little of the active tier is available." },
  { group: "Share", name: "Ramp", haproxy: "Thrtle", meaning: "The share of the weight that is effective during a slow start." },
];

const hintOf = ({ haproxy, meaning }) => [meaning, haproxy && `HAProxy: ${haproxy}.`].filter(Boolean).join(" ");

function head(columns) {
  const upper = make("tr");
  const lower = make("tr");
  for (const column of columns) {
    const last = upper.lastElementChild;
    if (last && column.group && last.textContent === column.group) last.colSpan += 1;
    else upper.append(make("th", { scope: "colgroup", textContent: column.group ?? "" }));
    const hint = hintOf(column);
    lower.append(make("th", { scope: "col", textContent: column.name, className: column.isWords ? "words" : "", ...(hint && { title: hint }) }));
  }
  return make("thead", {}, upper, lower);
}

const RESULT_CHARS_MAX = 40;

function backendCells(backend) {
  const [word, severity] = stateOf(backend);
  const { probe } = backend;
  const result = probe ? probe.error ?? "passed" : "none";
  const took = probe?.latency_seconds != null ? `in ${span(probe.latency_seconds)}` : "";
  const lag = backend.lag_seconds == null ? "" : `lag ${span(backend.lag_seconds)}`;
  return [
    { text: backend.name, note: backend.name === backend.address ? "" : backend.address },
    { text: word, state: severity, note: [backend.role, lag, probe && span(probe.since_seconds)].filter(Boolean).join(" ") },
    count(backend.active), count(backend.active_max), backend.connections_max === null ? "-" : count(backend.connections_max),
    count(backend.connected), backend.last_seconds === null ? "-" : span(backend.last_seconds),
    rate(backend.rate), rate(backend.rate_max), bytes(backend.bytes_to_backend), bytes(backend.bytes_to_client),
    count(backend.picked), count(backend.connect_failed), count(backend.retried),
    { text: result.length > RESULT_CHARS_MAX ? `${result.slice(0, RESULT_CHARS_MAX)}…` : result, note: took, hint: result },
    probe ? count(probe.failed) : "-", probe ? count(probe.downs) : "-", probe ? span(probe.down_seconds) : "-",
    { text: count(backend.weight), note: backend.overrides.weight === null ? "" : "override" },
    backend.tier, backend.weight_permille < 1000 ? `${backend.weight_permille / 10}%` : "-",
  ];
}

function totalCells(pool) {
  const total = (of) => sum(pool.backends, of);
  return [
    "All", `${pool.backends.filter(takes).length} of ${pool.backends.length} take connections`,
    count(total((one) => one.active)), "", "", count(total((one) => one.connected)), "", rate(total((one) => one.rate)), "",
    bytes(total((one) => one.bytes_to_backend)), bytes(total((one) => one.bytes_to_client)), count(total((one) => one.picked)),
    count(total((one) => one.connect_failed)), count(total((one) => one.retried)), "", "", "", "", count(total((one) => one.weight)), "", "",
  ];
}

function setRow(row, columns, cells) {
  cells.forEach((cell, index) => {
    const element = row.cells[index] ?? row.appendChild(index === 0 ? make("th", { scope: "row" }) : make("td"));
    if (columns[index].isWords && element.className !== "words") element.className = "words";
    setCell(element, cell);
  });
}

const BACKENDS_SHOWN = 10;

class BackendTable {
  constructor(name) {
    const caption = `Backends of pool ${name}`;
    this.body = make("tbody");
    this.foot = make("tfoot", {}, make("tr"));
    const table = make("table", {}, make("caption", { textContent: caption }), head(BACKEND_COLUMNS), this.body, this.foot);
    this.more = make("button", { type: "button", className: "more", onclick: () => this.toggle() });
    this.element = make("div", {}, make("div", { className: "scroll", tabIndex: 0, role: "region", "aria-label": caption }, table), this.more);
    this.isWhole = false;
  }

  toggle() {
    this.isWhole = !this.isWhole;
    this.show(this.pool, this.matches);
  }

  // `matches` selects backends; those that it does not select are not shown.
  show(pool, matches) {
    this.pool = pool;
    this.matches = matches;
    const rank = (backend) => rankOf(stateOf(backend)[1]);
    const found = pool.backends.filter(matches).sort((one, other) => rank(other) - rank(one));
    const shown = this.isWhole ? found : found.slice(0, BACKENDS_SHOWN);
    const rows = reconcile(this.body, shown, (backend) => backend.address, () => make("tr"));
    rows.forEach((row, index) => setRow(row, BACKEND_COLUMNS, backendCells(shown[index])));
    setRow(this.foot.rows[0], BACKEND_COLUMNS, totalCells(pool));
    this.more.hidden = found.length <= BACKENDS_SHOWN;
    setText(this.more, this.isWhole ? `Show the first ${BACKENDS_SHOWN}` : `Show ${restOf(found.slice(BACKENDS_SHOWN))}`);
  }
}

// `49 more: 48 DOWN, 1 UP`.
function restOf(backends) {
  const numbers = new Map();
  for (const backend of backends) {
    const [word] = stateOf(backend);
    numbers.set(word, (numbers.get(word) ?? 0) + 1);
  }
  return `${backends.length} more: ${[...numbers].map(([word, number]) => `${number} ${word}`).join(", ")}`;
}
