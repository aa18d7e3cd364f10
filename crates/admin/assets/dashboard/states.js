// States of backends, pools and listeners in words, and what is wrong, the most severe first.

// How severe a state is; also the order of the pools. `info` is what an operator or a reload has caused.
const SEVERITIES = ["good", "info", "warning", "bad"];
const DEAD = SEVERITIES.length; // The rank of a pool that serves no client.
const rankOf = (severity) => SEVERITIES.indexOf(severity);

const isAvailable = (backend) => backend.state === "up" || backend.state === "unknown";
const takes = (backend) => isAvailable(backend) && backend.weight > 0;

function stateOf(backend) {
  const { overrides, probe } = backend;
  if (overrides.disabled) return ["DISABLED", "info"];
  if (backend.state === "down") return ["DOWN", "bad"];
  if (backend.state === "ejected") return ["EJECTED", "bad"];
  if (overrides.drained) return ["DRAIN", "info"];
  if (backend.weight === 0) return ["NO WEIGHT", "info"];
  if (backend.role === "lagging") return ["LAGGING", "warning"];
  if (backend.state === "unknown") return probe ? ["UNKNOWN", "warning"] : ["NO PROBE", "good"];
  return probe?.error ? ["PROBE FAILS", "warning"] : ["UP", "good"];
}

const PHRASES = {
  DISABLED: "disabled", DOWN: "down", EJECTED: "ejected because connects failed", DRAIN: "drained", "NO WEIGHT": "without weight",
  LAGGING: "too far behind the primary to take reads", UNKNOWN: "not probed successfully yet", "PROBE FAILS": "up, but the last probe failed",
};

// The state of a pool: its rank, its word, and what is wrong, in one line.
function judge(pool, status) {
  const groups = groupsOf(pool);
  const all = pool.backends.length;
  const findings = [];
  const add = (severity, word, text) => findings.push({ severity, word, text });
  if (!pool.backends.some(takes)) add("bad", "DOWN", "no backend takes connections");
  if (pool.conflict.length > 0) add("bad", "CONFLICT", `${pool.conflict.join(", ")} all report that they are the primary`);
  const needsPrimary = status.listeners.some((listener) => listener.pool === pool.name && listener.role === "primary");
  if (needsPrimary && !pool.backends.some((backend) => backend.role === "primary")) add("bad", "NO PRIMARY", "there is no primary");
  for (const group of groups) add(group.severity, `${group.backends.length} ${group.word}`, groupText(group, all, status));
  if (pool.serving === "backup") add("warning", "BACKUP TIER", "the backup tier serves");
  if (pool.queued > 0) add("warning", "QUEUE", `${plural(pool.queued, "client")} in the queue for a backend that is not full`);
  findings.sort((one, other) => rankOf(other.severity) - rankOf(one.severity));
  const severity = findings[0]?.severity ?? "good";
  const isDead = findings[0]?.word === "DOWN";
  return {
    severity,
    rank: isDead ? DEAD : rankOf(severity),
    word: findings[0]?.word ?? "UP",
    text: findings.map((finding) => finding.text).join("; "),
  };
}

// Backends of a pool in the same state that is not good, the most severe first.
function groupsOf(pool) {
  const groups = new Map();
  for (const backend of pool.backends) {
    const [word, severity] = stateOf(backend);
    if (severity === "good") continue;
    if (!groups.has(word)) groups.set(word, { word, severity, backends: [] });
    groups.get(word).backends.push(backend);
  }
  return [...groups.values()].sort((one, other) => rankOf(other.severity) - rankOf(one.severity));
}

const NAMES_SHOWN = 2;
const ERRORS_SHOWN = 2;

// `59 of 60 down since 16:09, connection refused`, or the name of the backend if there are few.
function groupText({ word, backends }, all, status) {
  const names = backends.map((backend) => backend.name).join(" and ");
  const subject = backends.length > NAMES_SHOWN ? `${backends.length} of ${all}` : `${names} (${backends.length} of ${all})`;
  const parts = [`${subject} ${PHRASES[word]}`];
  const began = backends.map((backend) => backend.probe?.since_seconds).filter((seconds) => seconds !== undefined);
  if (word === "DOWN" && began.length > 0) parts[0] += ` since ${since(Math.max(...began), nowOf(status))}`;
  const left = backends.map((backend) => (word === "EJECTED" ? backend.ejected_for_seconds : backend.overrides.drain_seconds_left));
  if (left.some((seconds) => seconds != null)) parts[0] += `, for ${span(Math.max(...left))} more`;
  const errors = ["DOWN", "UNKNOWN", "PROBE FAILS"].includes(word) ? errorsOf(backends) : "";
  return [...parts, errors].filter(Boolean).join(", ");
}

function errorsOf(backends) {
  const numbers = new Map();
  for (const { probe } of backends) if (probe?.error) numbers.set(probe.error, (numbers.get(probe.error) ?? 0) + 1);
  const errors = [...numbers].sort(([, one], [, other]) => other - one);
  const shown = errors.slice(0, ERRORS_SHOWN).map(([error, number]) => (errors.length > 1 ? `${error} (${number})` : error));
  const rest = errors.length - shown.length;
  return [...shown, ...(rest > 0 ? [`and ${plural(rest, "other error")}`] : [])].join(", ");
}

// The time of a status, in seconds since 1970.
const nowOf = (status) => status.started_at + status.uptime_seconds;

function judgeListener(listener) {
  const findings = [];
  if (listener.active >= listener.connections_max * 0.9) {
    findings.push(["FULL", `${count(listener.active)} of at most ${plural(listener.connections_max, "connection")}`]);
  }
  if (listener.held > 0) findings.push(["HELD", `${plural(listener.held, "client")} held until there is a primary`]);
  const severity = findings.length > 0 ? "warning" : "good";
  return { severity, rank: rankOf(severity), word: findings[0]?.[0] ?? "UP", text: findings.map(([, text]) => text).join("; ") };
}

// Everything that is wrong. `names` are the pools or listeners that it is about: those in one state for one reason.
function problems(status, judgements) {
  const found = [];
  const add = (severity, text) => found.push({ rank: rankOf(severity), severity, text });
  if (status.phase !== "serving") add("warning", `The process is ${status.phase}: it accepts no new connections.`);
  if (status.config.last_error !== null) add("bad", `The last reload was refused, and the previous configuration is in force: ${status.config.last_error}`);
  if (status.connections.active >= status.connections.max * 0.9) {
    add("warning", `The process has ${count(status.connections.active)} of at most ${plural(status.connections.max, "connection")}.`);
  }
  if (status.access_log?.error) add("warning", `The access log cannot be written: ${status.access_log.error}`);
  for (const [kind, all] of Object.entries(judgements)) {
    const groups = new Map();
    for (const [name, judgement] of all) {
      if (judgement.rank === 0) continue;
      const key = `${judgement.severity} ${judgement.text}`;
      if (!groups.has(key)) groups.set(key, { ...judgement, kind, names: [] });
      groups.get(key).names.push(name);
    }
    found.push(...groups.values());
  }
  for (const removed of status.removed ?? []) {
    const left = removed.seconds_left === null ? "" : `, closed in ${span(removed.seconds_left)}`;
    add("info", `Removed ${removed.kind} ${removed.name}, pool ${removed.pool}: ${plural(removed.active, "connection")} left${left}`);
  }
  return found.sort((one, other) => other.rank - one.rank);
}
