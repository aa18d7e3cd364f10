// Numbers, durations and times as text.

const WHOLE = new Intl.NumberFormat("en");
const THOUSANDS = [1000, ["", "k", "M", "G", "T"]];
const BYTES = [1024, ["B", "KiB", "MiB", "GiB", "TiB", "PiB"]];

function count(number) {
  return number < 1e5 ? WHOLE.format(Math.round(number)) : scaled(number, THOUSANDS);
}

function bytes(number) {
  return scaled(number, BYTES);
}

function rate(number) {
  return number < 9.95 ? number.toFixed(1).replace(".0", "") : count(number);
}

function scaled(number, [base, units]) {
  const unit = unitOf(number, base, units);
  number /= base ** unit;
  const digits = unit === 0 || number >= 100 ? 0 : 1;
  return `${number.toFixed(digits)} ${units[unit]}`.trim();
}

function unitOf(number, base, units) {
  let unit = 0;
  while (number >= base ** (unit + 1) && unit < units.length - 1) unit += 1;
  return unit;
}

// Labels of an axis: one unit for all, and as many digits as it takes to show each value exactly.
function axisLabels(ticks, [base, units]) {
  const unit = unitOf(Math.max(...ticks), base, units);
  const values = ticks.map((tick) => tick / base ** unit);
  const isExact = (digits) => values.every((value) => Math.abs(Number(value.toFixed(digits)) - value) < 1e-9 * (1 + value));
  const digits = [0, 1, 2, 3].find(isExact) ?? 4;
  return values.map((value) => (value === 0 ? "0" : `${Number(value.toFixed(digits))} ${units[unit]}`.trim()));
}

// Steps of an axis: whole numbers of connections; for rates, tenths as well; for bytes, powers of 2.
const decimal = (from) => Array.from({ length: 14 }, (_, power) => [1, 2, 5].map((step) => step * 10 ** (power + from))).flat();
const AXES = {
  count: { show: count, steps: decimal(0), units: THOUSANDS },
  rate: { show: rate, steps: decimal(-1), units: THOUSANDS },
  bytes: { show: bytes, steps: Array.from({ length: 50 }, (_, power) => 2 ** power), units: BYTES },
};

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
const DAY = 86400;

// The time of day of what began `seconds` before `now`, with the date if that is more than half a day ago.
function since(seconds, now) {
  const at = new Date((now - seconds) * 1000);
  const time = clock(at).slice(0, 5);
  return seconds < DAY / 2 ? time : `${at.toLocaleDateString("en-GB", { day: "numeric", month: "short" })} ${time}`;
}

const plural = (number, noun) => `${count(number)} ${noun}${number === 1 ? "" : "s"}`;
const sum = (items, of) => items.reduce((total, item) => total + of(item), 0);
