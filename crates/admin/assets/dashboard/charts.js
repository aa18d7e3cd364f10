// Charts of the last five minutes: a line in a row of a table, or one with axes.

const SECONDS_KEPT = 300; // The time range of the charts.
const SAMPLES_KEPT = 320; // One a second, and a few more for updates that come early.
const LINES = ["active", "rate", "bytes_to_backend", "bytes_to_client"];

const series = new Map(); // By kind and name: `times`, and the values of each line.

const emptySeries = () => ({ times: [], ...Object.fromEntries(LINES.map((line) => [line, []])) });

function appendSample(key, time, values) {
  const kept = series.get(key) ?? emptySeries();
  series.set(key, kept);
  // The clock of the host may have been set back.
  if (time <= (kept.times.at(-1) ?? -Infinity)) return;
  kept.times.push(time);
  LINES.forEach((line) => kept[line].push(values[line]));
  if (kept.times.length > SAMPLES_KEPT) [kept.times, ...LINES.map((line) => kept[line])].forEach((values) => values.shift());
}

// Takes in what the balancer has kept. Samples that this page took after it stay.
function prependHistory(history) {
  for (const [kind, all] of [["listener", history.listeners], ["pool", history.pools]]) {
    for (const one of all) {
      const key = `${kind}/${one.name}`;
      const mine = series.get(key) ?? emptySeries();
      const newer = mine.times.findIndex((time) => time > (history.times.at(-1) ?? 0));
      const rest = (values) => (newer < 0 ? [] : values.slice(newer));
      const known = one.active.length;
      const joined = { times: [...history.times.slice(history.times.length - known), ...rest(mine.times)] };
      LINES.forEach((line) => (joined[line] = [...one[line], ...rest(mine[line])]));
      series.set(key, joined);
    }
  }
}

function forgetSeries(status) {
  const known = new Set([...status.listeners.map((one) => `listener/${one.name}`), ...status.pools.map((one) => `pool/${one.name}`)]);
  [...series.keys()].filter((key) => !known.has(key)).forEach((key) => series.delete(key));
}

// The time of the newest status, by the clock of the balancer: the right edge of every chart.
let chartsEnd = 0;

// Charts that are on the screen; others are drawn when they come there.
const onScreen = new IntersectionObserver((entries) => {
  for (const { target, isIntersecting } of entries) {
    target.chart.isOnScreen = isIntersecting;
    if (isIntersecting) target.chart.draw();
  }
}, { rootMargin: "50%" });

const SPARK = { width: 120, height: 22, points: 60 };

class Spark {
  constructor(key, lines) {
    this.key = key;
    this.lines = lines;
    this.paths = lines.map((_, index) => drawing("path", { class: index === 0 ? "line one" : "line two" }));
    this.area = drawing("path", { class: "area" });
    this.element = drawing("svg", {
      class: "spark", viewBox: `0 0 ${SPARK.width} ${SPARK.height}`, preserveAspectRatio: "none", "aria-hidden": "true",
    }, this.area, ...this.paths);
    this.element.chart = this;
    this.isOnScreen = false;
    onScreen.observe(this.element);
  }

  draw() {
    const data = series.get(this.key);
    if (!data || !this.isOnScreen) return;
    const lines = this.lines.map((line) => thinned(data.times, data[line]));
    const max = Math.max(1, ...lines.flat().map(([, value]) => value));
    const shapes = lines.map((points) => points.map(([at, value]) =>
      `${(at * SPARK.width).toFixed(1)} ${(SPARK.height - 1 - (value / max) * (SPARK.height - 2)).toFixed(1)}`));
    shapes.forEach((points, index) => this.paths[index].setAttribute("d", points.length > 1 ? `M${points.join("L")}` : ""));
    const [first] = shapes;
    const edge = (point) => `${point.split(" ")[0]} ${SPARK.height}`;
    this.area.setAttribute("d", first.length > 1 ? `M${edge(first[0])}L${first.join("L")}L${edge(first.at(-1))}Z` : "");
  }
}

// The values of the time range, as places from 0 to 1 with the largest value near each.
function thinned(times, values) {
  const points = [];
  let last = -1;
  times.forEach((time, index) => {
    const at = 1 - (chartsEnd - time) / SECONDS_KEPT;
    if (at < 0 || at > 1) return;
    const slot = Math.round(at * SPARK.points);
    if (slot === last) points.at(-1)[1] = Math.max(points.at(-1)[1], values[index]);
    else points.push([slot / SPARK.points, values[index]]);
    last = slot;
  });
  return points;
}

class Chart {
  constructor(key, title, lines, names, axis) {
    this.key = key;
    this.lines = lines;
    this.axis = axis;
    this.values = lines.map((_, index) => make("b", { className: index === 0 ? "one" : "two" }));
    const legend = make("span", {});
    names.forEach((name, index) => legend.append(name === "" ? "" : `${index > 0 ? " · " : ""}${name} `, this.values[index]));
    this.box = make("div");
    this.element = make("figure", { className: "chart" }, make("figcaption", {}, make("span", { textContent: title }), legend), this.box);
    this.element.chart = this;
    this.plot = null;
    this.isOnScreen = false;
    onScreen.observe(this.element);
  }

  draw() {
    const kept = series.get(this.key);
    if (!kept || !this.isOnScreen) return;
    const data = [kept.times, ...this.lines.map((line) => kept[line])];
    this.values.forEach((value, line) => setText(value, this.axis.show(data[line + 1].at(-1) ?? 0)));
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
    const axis = { stroke: colour("--quiet"), grid: { stroke: colour("--line"), width: 1 }, ticks: { show: false }, font: "11px system-ui" };
    const time = (tick) => clock(new Date(tick * 1000)).slice(0, 5);
    return {
      width,
      height: 96,
      cursor: { show: false },
      legend: { show: false },
      padding: [10, 16, 0, 0],
      scales: {
        x: { range: () => [chartsEnd - SECONDS_KEPT, chartsEnd] },
        y: { range: (_, __, max) => [0, max > 0 ? max * 1.1 : 1] },
      },
      axes: [
        { ...axis, size: 20, space: 60, values: (_, ticks) => ticks.map(time), incrs: [60, 120, 300] },
        { ...axis, size: 58, space: 18, values: (_, ticks) => axisLabels(ticks, this.axis.units), incrs: this.axis.steps },
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

const threeCharts = (key) => [
  new Chart(key, "Connections", ["active"], [""], AXES.count),
  new Chart(key, "New connections per second", ["rate"], [""], AXES.rate),
  new Chart(key, "Bytes per second", ["bytes_to_backend", "bytes_to_client"], ["in", "out"], AXES.bytes),
];

const charts = () => [...document.querySelectorAll(".chart, .spark")].map((element) => element.chart);
