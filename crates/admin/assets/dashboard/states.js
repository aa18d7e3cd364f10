// States of backends and pools in words. What is wrong is `status.problems`, the most severe first.

// How severe a state is; also the order of the pools. A note is what an operator or a reload has caused.
const SEVERITIES = ["good", "note", "warning", "error"];
const rankOf = (severity) => SEVERITIES.indexOf(severity);

const isAvailable = (backend) => backend.state === "up" || backend.state === "unknown";
const takes = (backend) => isAvailable(backend) && backend.weight > 0;

function stateOf(backend) {
  const { overrides, probe } = backend;
  if (overrides.disabled) return ["DISABLED", "note"];
  if (backend.state === "down") return ["DOWN", "error"];
  if (backend.state === "ejected") return ["EJECTED", "error"];
  if (overrides.drained) return ["DRAIN", "note"];
  if (backend.weight === 0) return ["NO WEIGHT", "note"];
  if (backend.role === "lagging") return ["LAGGING", "warning"];
  if (backend.state === "unknown") return probe ? ["UNKNOWN", "warning"] : ["NO PROBE", "good"];
  return probe?.error ? ["PROBE FAILS", "warning"] : ["UP", "good"];
}

// The time of a status, in seconds since 1970.
const nowOf = (status) => status.started_at + status.uptime_seconds;

// A problem as a line.
function sentence({ text, since, latest, why }) {
  const parts = [text];
  if (since !== null) parts.push(` since ${minute(since)}`);
  if (latest !== null) parts.push(`, the last since ${minute(latest)}`);
  if (why !== null) parts.push(`: ${why}`);
  return parts.join("");
}

// The state of a pool with a problem of this kind, if it is not the name of the kind; and the kinds that have the
// number of backends before it.
const WORDS = { limit: "some full", probe: "probes fail", weight: "weights set", removed: "some removed" };
const NUMBERED = ["down", "ejected", "lagging", "unknown", "drained", "disabled"];

function wordOf({ kind, backends }) {
  const word = WORDS[kind] ?? kind.replaceAll("_", " ");
  return (NUMBERED.includes(kind) ? `${count(backends)} ${word}` : word).toUpperCase();
}

// The state of each pool: that of its most severe problem, and its place in the order of the problems. Problems of a
// listener are not of its pool.
function judge(status) {
  const found = new Map(status.pools.map((pool) => [pool.name, []]));
  for (const problem of status.problems) if (problem.listener === null) found.get(problem.pool)?.push(problem);
  const places = new Map(status.problems.map((problem, place) => [problem, place]));
  const judgement = (all) => {
    const [worst] = [...all, { severity: "good", kind: "up" }];
    return {
      severity: worst.severity, rank: rankOf(worst.severity), place: places.get(worst) ?? places.size,
      word: wordOf(worst), text: all.map((problem) => sentence(problem)).join("\n"),
    };
  };
  return new Map([...found].map(([name, all]) => [name, judgement(all)]));
}

const TOGETHER_SECONDS = 60; // What begins within this time of the first began together.

// Problems of several pools or listeners with the same text and reason are one line, with all of their `names`. `of`
// is what the names are: `pool`, `listener`, or empty if the text does not begin with it.
function joined(problems) {
  const lines = new Map();
  for (const problem of problems) {
    const of = ["listener", "pool"].find((one) => problem[one] !== null && problem.text.startsWith(`${one} ${problem[one]}: `)) ?? "";
    const text = of === "" ? problem.text : problem.text.slice(`${of} ${problem[of]}: `.length);
    const key = JSON.stringify([problem.severity, of, text, problem.why]);
    if (!lines.has(key)) lines.set(key, { ...problem, of, text, names: [] });
    const line = lines.get(key);
    line.names.push(problem[of]);
    if (problem.since === null) continue;
    const last = Math.max(line.latest ?? line.since, problem.latest ?? problem.since);
    line.since = Math.min(line.since, problem.since);
    line.latest = last - line.since > TOGETHER_SECONDS ? last : null;
  }
  return [...lines.values()];
}
