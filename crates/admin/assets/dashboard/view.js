// What the page shows: the filter, the order, and which pools are open. The fragment of the address has it, so that
// the address can be sent to a colleague: `#q=web&state=problem`, `#pool=web`, `#sort=rate`.

const view = { q: "", state: "all", sort: "state", pool: "", listener: "" };
const DEFAULTS = { ...view };

const FILTERS = {
  all: () => true,
  problem: (judgement) => judgement.rank >= rankOf("warning"),
  changed: (judgement) => judgement.severity === "note",
  good: (judgement) => judgement.severity === "good",
};

const SORTS = ["state", "name", "active", "rate", "bytes", "queued"];

function fragmentOf(changes) {
  const wanted = { ...DEFAULTS, ...changes };
  const fields = Object.entries(wanted).filter(([key, value]) => value !== DEFAULTS[key]);
  return `#${new URLSearchParams(fields)}`;
}

function readFragment() {
  const fields = new URLSearchParams(location.hash.slice(1));
  for (const key of Object.keys(view)) view[key] = fields.get(key) ?? DEFAULTS[key];
  if (!(view.state in FILTERS)) view.state = DEFAULTS.state;
  if (!SORTS.includes(view.sort)) view.sort = DEFAULTS.sort;
}

// Changes the view and the address, without an entry in the history of the browser.
function setView(changes) {
  Object.assign(view, changes);
  const fragment = fragmentOf(view);
  history.replaceState(null, "", fragment === "#" ? location.pathname : fragment);
}

const contains = (text) => text.toLowerCase().includes(view.q.trim().toLowerCase());
const matchesBackend = (backend) => contains(backend.name) || contains(backend.address);

// Which backends of a pool the filter selects: all of a pool that itself matches.
function selection(pool) {
  return view.q.trim() === "" || contains(pool.name) ? () => true : matchesBackend;
}

const matchesPool = (pool, judgement) => FILTERS[view.state](judgement) && pool.backends.some(selection(pool));
const matchesListener = (listener) => [listener.name, ...listener.addresses, listener.pool].some(contains);

// Which pools are open. Few pools open by themselves; of many, the first ones with a problem do, so that the lines of
// the others stay on the screen. A pool stays open until it is folded by hand.
const FEW_POOLS = 3;
const SICK_OPEN_MAX = 2;
const opened = new Map(); // By the name of a pool: whether it is open.

function openByItself(pools, judgements) {
  const areFew = pools.length <= FEW_POOLS;
  let room = (areFew ? FEW_POOLS : SICK_OPEN_MAX) - [...opened.values()].filter(Boolean).length;
  const isSick = (pool) => FILTERS.problem(judgements.get(pool.name));
  const wanted = areFew ? pools : inOrder(pools.filter(isSick), judgements, "state");
  for (const { name } of wanted) {
    if (opened.has(name) || room <= 0) continue;
    opened.set(name, true);
    room -= 1;
  }
}

const KEYS = {
  active: (pool) => sum(pool.backends, (one) => one.active),
  rate: (pool) => sum(pool.backends, (one) => one.rate),
  bytes: (pool) => {
    const kept = series.get(`pool/${pool.name}`);
    return kept ? (kept.bytes_to_backend.at(-1) ?? 0) + (kept.bytes_to_client.at(-1) ?? 0) : 0;
  },
  queued: (pool) => pool.queued,
};

// Pools in an order; equal ones stay in the order of the file.
function inOrder(pools, judgements, order) {
  const key = order === "state" ? (pool) => -judgements.get(pool.name).place : KEYS[order];
  const keyed = pools.map((pool) => ({ pool, key: key?.(pool) }));
  if (order === "name") keyed.sort((one, other) => one.pool.name.localeCompare(other.pool.name, "en", { numeric: true }));
  else keyed.sort((one, other) => other.key - one.key);
  return keyed.map(({ pool }) => pool);
}
